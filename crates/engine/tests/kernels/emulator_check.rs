//! The check of the kernels on the emulator, with each kernel made for speed doing nothing in turn: it is left out, and no
//! other, or the engine refuses, as it is told.

use ossmark_engine::FastKernel;

use crate::emulator::{child, is_child};

/// What a child of check.rs says of loading in this trouble.
fn said(test: &str, env: &[(&str, &str)]) -> String {
    let test = format!("check::{test}");
    let output = child(&["--ignored", "--exact", &test, "--nocapture"], env);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The lines that begin so.
fn lines<'a>(text: &'a str, begin: &str) -> Vec<&'a str> {
    text.lines().filter_map(|l| l.strip_prefix(begin)).collect()
}

#[test]
fn a_kernel_that_does_nothing_is_left_out_and_no_other() {
    if is_child() {
        return;
    }
    for kernel in FastKernel::all() {
        // Both of the experts' products in turn.
        for file in kernel.files() {
            let of_head = file.starts_with("draft_");
            let test = if of_head { "child_with_head" } else { "child" };
            let text = said(test, &[("OSSMARK_EMULATOR_SKIPS", file)]);
            let left_out = lines(&text, "LEFT OUT: ");
            assert_eq!(left_out.len(), 1, "{file}: {text}");
            assert!(
                left_out[0].starts_with(&format!("{kernel}: ")),
                "{file}: {text}"
            );
            assert!(
                lines(&text, "LOADED: ")[0].contains(&format!("left out: {kernel}")),
                "{file}: {text}"
            );
        }
    }
}

#[test]
fn several_at_once_are_left_out() {
    if is_child() {
        return;
    }
    let both = [("OSSMARK_EMULATOR_SKIPS", "attention_decode,rope_kv")];
    let text = said("child", &both);
    let mut left_out = lines(&text, "LEFT OUT: ");
    left_out.sort_unstable();
    assert_eq!(left_out.len(), 2, "{text}");
    assert!(left_out[0].starts_with("attention_decode: "), "{text}");
    assert!(left_out[1].starts_with("rope_kv: "), "{text}");
}

#[test]
fn strictly_the_engine_refuses() {
    if is_child() {
        return;
    }
    let strict = ("OSSMARK_TEST_STRICT", "1");
    let text = said("child", &[strict, ("OSSMARK_EMULATOR_SKIPS", "router")]);
    assert!(
        text.contains(
            "LOAD: the kernels made for speed do not give what the plain ones do: the router"
        ) && text.contains("--plain-kernels"),
        "{text}"
    );
    let text = said("child", &[strict, ("OSSMARK_EMULATOR_GRAPHS", "skip")]);
    assert!(text.contains("LOAD: a recorded decode step"), "{text}");
    // The plain kernels themselves: there is nothing to leave out for them.
    let text = said("child", &[("OSSMARK_EMULATOR_SKIPS", "embed")]);
    assert!(
        text.contains("LOAD: the plain kernels give no numbers"),
        "{text}"
    );
}

#[test]
fn recordings_that_give_something_else_are_done_without() {
    if is_child() {
        return;
    }
    for test in ["child", "child_with_recorded_rounds"] {
        let text = said(test, &[("OSSMARK_EMULATOR_GRAPHS", "skip")]);
        assert!(text.contains("RECORDED: []"), "{text}");
        assert!(
            lines(&text, "WARNING: ")
                .iter()
                .any(|w| w.contains("a recorded decode step")),
            "{text}"
        );
        let text = said(test, &[]);
        assert!(!text.contains("RECORDED: []"), "{text}");
        assert!(lines(&text, "WARNING: ").is_empty(), "{text}");
    }
}
