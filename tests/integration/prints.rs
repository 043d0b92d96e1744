//! What people read on a terminal, as snapshots: verdicts and findings. Figures that depend on the machine are left out.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::common::{ANY_SPEED, Bench, Done, SHORT_CONF, binary, finish, repository};

const LIMIT: Duration = Duration::from_secs(120);

/// Compares with `tests/snapshots/prints/NAME.snap`.
#[track_caller]
fn assert_print(name: &str, code: i32, done: &Done, print: &str) {
    assert_eq!(done.code(), Some(code), "{}{}", done.stdout, done.stderr);
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../snapshots/prints");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let figures = r"(tokens/s|samples/s|TTFT p99|TPOT p99) +[\d.,]+";
    settings.add_filter(figures, "$1 [figure]");
    settings.bind(|| insta::assert_snapshot!(name, print));
}

#[test]
fn verdicts() {
    let conf = SHORT_CONF.to_owned() + ANY_SPEED;
    let quick = ["--echo-ttft-ms", "1", "--echo-tpot-ms", "0.1"];
    let drill = [&quick[..], &["--drill", "short@3", "--echo-slots", "2"]].concat();
    for (name, code, scenario, mode, options) in [
        (
            "offline-performance",
            0,
            "offline",
            "performance",
            &quick[..],
        ),
        ("offline-accuracy", 0, "offline", "accuracy", &quick),
        ("server-performance", 0, "server", "performance", &quick),
        ("drill", 1, "offline", "performance", &drill),
    ] {
        let bench = Bench::with_conf(&conf);
        let done = finish(bench.echo(scenario, mode, options), LIMIT);
        let print = without(&done.stdout, bench.dir.path());
        assert_print(name, code, &done, &print);
    }
}

#[test]
fn findings_of_a_submission() {
    let tree = tempfile::tempdir().unwrap();
    let packed = repository().join("crates/submission/tests/fixtures/base_tree.tar.gz");
    let packed = std::fs::File::open(packed).unwrap();
    tar::Archive::new(flate2::read::GzDecoder::new(packed))
        .unpack(tree.path())
        .unwrap();
    for (name, code, options) in [
        ("submission-official", 0, &["--official-only"][..]),
        ("submission-default", 0, &[]),
        ("submission-strict", 1, &["--strict"]),
        ("submission-nobody", 1, &["--submitter", "Nobody"]),
    ] {
        let mut command = Command::new(binary());
        command.args(["submission", "check", "--input"]);
        command.arg(tree.path()).args(options);
        let done = finish(command, LIMIT);
        let print = without(&done.stdout, tree.path());
        assert_print(name, code, &done, &print);
    }
}

#[test]
fn findings_of_a_score() {
    let fixtures = repository().join("tests/fixtures/score");
    for name in ["out_of_range", "subset", "duplicate", "empty", "full"] {
        let mut command = Command::new(binary());
        command.arg("score").arg("--log");
        command.arg(
            fixtures
                .join("edge")
                .join(name)
                .join("mlperf_log_accuracy.json"),
        );
        command
            .arg("--reference")
            .arg(fixtures.join("edge/ref.parquet"));
        command.arg("--tokenizer").arg(fixtures.join("tokenizer"));
        let done = finish(command, LIMIT);
        let lines = done
            .stderr
            .lines()
            .filter(|line| line.starts_with("finding: "));
        let findings = lines.map(|line| format!("{line}\n")).collect::<String>();
        let print = without(&format!("{}{findings}", done.stdout), &fixtures);
        assert_print(&format!("score-{name}"), 0, &done, &print);
    }
}

/// Where the files lie differs from machine to machine.
fn without(text: &str, folder: &Path) -> String {
    text.replace(folder.to_str().unwrap(), "FOLDER")
}
