//! Misuse that must not compile. Each case is one function body checked by rustc against the library that cargo has just
//! built, and must fail with the given error code and no other; the same body without its last line must compile. (trybuild
//! would build LoadGen a second time in a target directory of its own.)
#![allow(clippy::disallowed_methods, reason = "tests open what they made")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Name, error code, lines that compile, the line that does not.
const CASES: [(&str, &str, &str, &str); 18] = [
    (
        "completes_twice",
        "E0382",
        "let t = issued.first_token(&[1]); t.complete(&[1, 2]);",
        "t.complete(&[1, 2]);",
    ),
    (
        "completes_without_first_token",
        "E0599",
        "let t = issued;",
        "t.complete(&[1, 2]);",
    ),
    (
        "reports_two_first_tokens",
        "E0382",
        "let t = issued.first_token(&[1]);",
        "issued.first_token(&[1]);",
    ),
    (
        "clones_an_issued_ticket",
        "E0599",
        "let t = issued;",
        "let u = t.clone();",
    ),
    (
        "clones_a_streaming_ticket",
        "E0599",
        "let t = issued.first_token(&[1]);",
        "let u = t.clone();",
    ),
    (
        "sends_a_streaming_ticket_away",
        "E0277",
        "std::thread::spawn(move || drop(issued)); let t = other.first_token(&[1]);",
        "std::thread::spawn(move || t.complete(&[1, 2]));",
    ),
    (
        "completes_a_batch_without_first_tokens",
        "E0308",
        "let mut buffer = ResponseBuffer::new(); let mut batch = buffer.completions(); batch.push(other.first_token(&[1]), &[1, 2]);",
        "batch.push(issued, &[1, 2]);",
    ),
    (
        "sends_a_batch_of_completions_away",
        "E0277",
        "let mut buffer = ResponseBuffer::new(); let mut batch = buffer.completions();",
        "std::thread::scope(|scope| { scope.spawn(move || batch.send()); });",
    ),
    (
        "frees_tokens_before_the_batch_is_sent",
        "E0505",
        "let mut buffer = ResponseBuffer::new(); let tokens = vec![1, 2]; let mut batch = buffer.first_tokens(); batch.push(issued, &tokens);",
        "drop(tokens); batch.send();",
    ),
    (
        "answers_an_untimed_ticket_twice",
        "E0382",
        "plain.answer(&[1]);",
        "plain.answer(&[1]);",
    ),
    (
        "clones_an_untimed_ticket",
        "E0599",
        "let t = plain;",
        "let u = t.clone();",
    ),
    (
        "reports_a_first_token_where_none_is_timed",
        "E0599",
        "let t = plain;",
        "t.first_token(&[1]);",
    ),
    (
        "answers_a_timed_ticket_with_bytes",
        "E0599",
        "let t = issued;",
        "t.answer(&[1]);",
    ),
    (
        "batches_a_timed_ticket_with_bytes",
        "E0308",
        "let mut buffer = ResponseBuffer::new(); let mut batch = buffer.answers(); batch.push(plain, &[1]);",
        "batch.push(issued, &[1]);",
    ),
    (
        "makes_up_a_ticket",
        "E0624",
        "drop(issued);",
        "let t = unsafe { Ticket::<Issued>::from_raw((16, 0)) };",
    ),
    (
        "makes_up_a_state",
        "E0277",
        "struct Mine;",
        "impl State for Mine {}",
    ),
    (
        "keeps_a_query_after_it_was_issued",
        "E0521",
        "for sample in samples { drop(sample); }",
        "std::thread::spawn(move || drop(more));",
    ),
    (
        "times_a_system_without_tokens",
        "E0277",
        "let _ = run_untimed(settings, sut, library);",
        "let _ = run(settings, sut, library);",
    ),
];

#[test]
fn misuse_does_not_compile() {
    let dir = tempfile::tempdir().unwrap();
    let deps = std::env::current_exe()
        .unwrap()
        .parent()
        .unwrap()
        .to_owned();
    let library = library(&deps, dir.path());
    for (name, code, good, bad) in CASES {
        let codes = check(&deps, &library, dir.path(), good);
        assert_eq!(codes, BTreeSet::new(), "{name}: {good}");
        let codes = check(&deps, &library, dir.path(), &format!("{good} {bad}"));
        assert_eq!(codes, BTreeSet::from([code.to_owned()]), "{name}: {bad}");
    }
}

/// The newest build of the library that this compiler can read; older ones with other settings may lie beside it.
fn library(deps: &Path, dir: &Path) -> PathBuf {
    let mut builds: Vec<PathBuf> = fs::read_dir(deps)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.starts_with("libloadgen-") && name.ends_with(".rlib")
        })
        .collect();
    builds.sort_by_key(|path| fs::metadata(path).unwrap().modified().unwrap());
    let usable = builds
        .iter()
        .rev()
        .find(|build| check(deps, build, dir, "drop(issued);").is_empty());
    usable
        .unwrap_or_else(|| panic!("no library among {builds:?} compiles the simplest program"))
        .clone()
}

/// Error codes of a body; an error without a code counts as "none".
fn check(deps: &Path, library: &Path, dir: &Path, body: &str) -> BTreeSet<String> {
    let source = dir.join("case.rs");
    let text = format!(
        "#![allow(warnings)]\nuse loadgen::{{Issued, ResponseBuffer, SampleLibrary, Samples, Settings, State, SystemUnderTest, \
         Ticket, Untimed, run, run_untimed}};\n\
         pub fn case<S: SystemUnderTest<Untimed>>(issued: Ticket<Issued>, other: Ticket<Issued>, plain: Ticket<Untimed>, \
         samples: Samples<'_>, more: Samples<'_>, settings: &Settings, sut: &S, library: &dyn SampleLibrary) {{ {body} }}\n"
    );
    fs::write(&source, text).unwrap();
    let run = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args([
            "--edition",
            "2024",
            "--crate-type",
            "lib",
            "--emit",
            "metadata",
            "--error-format",
            "json",
        ])
        .arg("--extern")
        .arg(format!("loadgen={}", library.display()))
        .arg("-L")
        .arg(format!("dependency={}", deps.display()))
        .arg("-o")
        .arg(dir.join("case.rmeta"))
        .arg(&source)
        .output()
        .unwrap();
    let messages = String::from_utf8_lossy(&run.stderr).into_owned();
    let errors = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| {
            let text = message["message"].as_str().unwrap_or_default();
            message["level"] == "error" && !text.starts_with("aborting")
        });
    let codes: BTreeSet<String> = errors
        .map(|error| error["code"]["code"].as_str().unwrap_or("none").to_owned())
        .collect();
    assert_eq!(codes.is_empty(), run.status.success(), "{messages}");
    codes
}
