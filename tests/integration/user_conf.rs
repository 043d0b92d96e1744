//! What `run` says of a user.conf is said on stderr, and what it does is what LoadGen reads.

use std::time::Duration;

use crate::common::{Bench, SHORT_CONF, finish};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn lines_that_loadgen_ignores_are_named_and_the_rest_is_read() {
    let conf = "#gpt-oss-120b.Offline.target_qps = 10\n\
                gpt-oss-120b.*.performance_sample_count = 10\n\
                gpt-oss-120b.Interactive.target_qps = 10\n\
                resnet50.*.min_duration = 10\n\
                \u{1b}[2J.*.min_duration = 10\n";
    let bench = Bench::with_conf(&format!(
        "{SHORT_CONF}{conf}gpt-oss-120b.Offline.target_qps = 40\n"
    ));
    let done = finish(
        bench.echo("offline", "accuracy", &["--echo-tokens", "3"]),
        LIMIT,
    );
    assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
    let ignored: Vec<&str> = done
        .stderr
        .lines()
        .filter(|line| line.contains("LoadGen ignores the line"))
        .collect();
    assert_eq!(ignored.len(), 4, "{}", done.stderr);
    for (line, name) in ignored.iter().zip([
        "user.conf:12: gpt-oss-120b.*.performance_sample_count",
        "user.conf:13: gpt-oss-120b.Interactive.target_qps",
        "user.conf:14: resnet50.*.min_duration",
        "user.conf:15: \\u{1b}[2J.*.min_duration",
    ]) {
        assert!(line.contains(name), "{line}");
    }
    assert_eq!(
        bench.plan()["requested_settings"]["target_qps"].as_f64(),
        Some(40.0)
    );
}

#[test]
fn a_line_for_which_loadgen_drops_the_file_is_refused() {
    for line in [
        "#gpt-oss-120b.Offline.target_qps = ten",
        "#no setting at all",
        "resnet50.*.min_duration = 10 # why",
    ] {
        let bench = Bench::with_conf(&format!("{SHORT_CONF}{line}\n"));
        let done = finish(bench.echo("offline", "accuracy", &[]), LIMIT);
        done.refused(&["user.conf:11: ", "LoadGen drops the whole file"]);
        assert!(!bench.out().join("run_plan.json").exists());
    }
}
