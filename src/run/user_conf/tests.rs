mod loadgen;

use super::*;

fn errors(text: &str) -> Vec<Finding> {
    lint(text.as_bytes(), Kind::User).errors
}

/// The one error of a file, which must be in its second line.
fn error(line: &str) -> String {
    let found = errors(&format!("# first\n{line}\n# last\n"));
    assert_eq!(found.len(), 1, "{line}: {found:?}");
    assert_eq!(found[0].line, 2);
    found[0].to_string()
}

/// Everything that is said about a file.
fn found(text: &str, kind: Kind) -> Vec<Finding> {
    let report = lint(text.as_bytes(), kind);
    [report.errors, report.warnings].concat()
}

fn warnings(text: &str) -> Vec<(usize, String)> {
    let report = lint(text.as_bytes(), Kind::User);
    assert_eq!(report.errors, []);
    report
        .warnings
        .into_iter()
        .map(|f| (f.line, f.to_string()))
        .collect()
}

#[track_caller]
fn says(line: &str, part: &str) {
    let text = error(line);
    assert!(text.contains(part), "{line}: {text}");
}

/// A line that is no error, because LoadGen goes on without it, and about which this is said.
#[track_caller]
fn ignored(line: &str, part: &str) {
    let found = warnings(&format!("# first\n{line}\n# last\n"));
    assert_eq!(found.len(), 1, "{line}: {found:?}");
    let text = &found[0].1;
    assert!(
        found[0].0 == 2 && text.contains(part) && text.ends_with("; LoadGen ignores the line"),
        "{line}: {text}"
    );
}

#[test]
fn the_files_that_are_shipped_are_clean() {
    for text in [
        include_str!("../../../mlperf_conf/offline.user.conf"),
        include_str!("../../../mlperf_conf/server.user.conf"),
        include_str!("../../../mlperf_conf/interactive.user.conf"),
        include_str!("../../../mlperf_conf/test07.user.conf"),
    ] {
        assert_eq!(found(text, Kind::User), [], "{text}");
    }
    for text in [
        include_str!("../../../mlperf_conf/audit/TEST07/audit.config"),
        include_str!("../../../mlperf_conf/audit/TEST09/audit.config"),
    ] {
        assert_eq!(found(text, Kind::Audit), [], "{text}");
    }
}

#[test]
fn what_loadgen_reads_as_written_is_accepted() {
    let text = "\n   # indented comment = 1\n#\n#word\n#key = 1\n#gpt-oss-120b.Offline.target_qps = 10\n\tgpt-oss-120b.Server.target_qps\t=\t1e1\n*.Server.min_duration = 600000\n\
                gpt-oss-120b.Offline.target_qps = 20.5\n*.*.max_query_count = 0\ngpt-oss-120b-interactive.*.print_timestamps = 0";
    assert_eq!(warnings(text), []);
    assert_eq!(lint(b"", Kind::User), Report::default());
}

#[test]
fn whole_numbers() {
    says(
        "*.*.min_duration = 1e6",
        "at most 18446744073709551615; write 1000000; LoadGen reads 1",
    );
    says(
        "*.*.min_query_count = 2.5",
        "found 2.5, expected a whole number in decimal digits, at most 18446744073709551615; LoadGen reads 2",
    );
    says("*.*.min_query_count = .5e1", "write 5; LoadGen reads 0");
    says("*.*.min_duration = 010", "write 10; LoadGen reads 8");
    says("*.*.min_duration = 010.5", "LoadGen reads 8");
    says("*.*.min_duration = 0x10", "LoadGen reads 16");
    says(
        "*.*.min_duration = -1",
        "LoadGen reads 18446744073709551615",
    );
    says(
        "*.*.min_duration = ten",
        "found 'ten' as the value of *.*.min_duration, expected a number; LoadGen drops the whole file",
    );
    says("*.Server.max_async_queries = 4294967297", "LoadGen reads 1");
    says(
        "*.*.min_duration = 18446744073709551616",
        "at most 18446744073709551615",
    );
    says(
        "gpt-oss-120b.Server.tpot_latency = 12.5",
        "LoadGen reads 12",
    );
    says(
        "gpt-oss-120b.Server.ttft_latency = 18446744073710",
        "overflows",
    );
    assert_eq!(errors("*.*.min_duration = 18446744073709551615"), []);
}

#[test]
fn other_numbers() {
    says("*.Server.target_qps = 0", "above 0");
    says("*.Server.target_qps = inf", "above 0");
    says("*.Server.target_qps = 0x10", "above 0");
    says("*.Server.target_qps = 12,5", "drops the whole file");
    says("*.Server.target_latency_percentile = 101", "at most 100");
    says("*.*.use_token_latencies = 2", "expected 0 or 1");
    says(
        "*.*.performance_issue_unique = true",
        "drops the whole file",
    );
}

#[test]
fn lines() {
    says(
        "*.*.min_duration = 600000 # ten minutes",
        "put the comment on a line of its own",
    );
    says(
        "*.*.min_duration = 600000 #ten minutes",
        "put the comment on a line of its own",
    );
    says("*.*.min_duration = 600000 700000", "LoadGen takes the last");
    says(
        "*.*.min_duration=600000",
        "put a space on both sides of '='; LoadGen ignores the line",
    );
    says(
        "*.*.min_duration =600000",
        "put a space on both sides of '='",
    );
    says(
        "*.*.min_duration= 600000",
        "put a space on both sides of '='",
    );
    says("*.*.min_duration =", "has no value");
    says(
        "*.*.min_duration # 600000",
        "expected 'model.scenario.key = value'; LoadGen ignores",
    );
    says("#no space here", "a space after '#'");
    says("#key = a word", "LoadGen drops the whole file");
    says("#key = 1 # one", "LoadGen drops the whole file");
    says("resnet50.*.note = fast", "LoadGen drops the whole file");
    ignored("min_duration = 600000", "three parts");
    ignored("*.min_duration = 600000", "three parts");
    ignored("resnet50.*.min_duration=600000", "a space on both sides");
    ignored("resnet50.*.min_duration =", "has no value");
}

#[test]
fn names_that_loadgen_does_not_look_up() {
    for (line, part) in [
        (
            "*.*.min_duration_ms = 600000",
            "did you mean 'min_duration'?",
        ),
        ("*.*.Target_QPS = 1", "did you mean 'target_qps'?"),
        (
            "gpt-oss-120b.*.performance_sample_count = 1",
            "did you mean 'performance_sample_count_override'?",
        ),
        (
            "*.*.nonsense = 1",
            "*.*.nonsense: found the key 'nonsense', which LoadGen 6.0.17 does not know",
        ),
        (
            "gpt-oss-120B.*.min_duration = 600000",
            "did you mean 'gpt-oss-120b'?",
        ),
        (
            "resnet50.*.min_duration = 1e6",
            "expected 'gpt-oss-120b' or 'gpt-oss-120b-interactive' or '*'",
        ),
        (
            "wan-2.2-t2v.*.min_duration = 1",
            "found the model 'wan-2.2-t2v'",
        ),
        ("*.offline.min_duration = 600000", "did you mean 'Offline'?"),
        // A hyphen that is not ASCII's, letters in the place of each other, one that is missing.
        (
            "gpt\u{2011}oss-120b.*.min_duration = 600000",
            "did you mean 'gpt-oss-120b'?",
        ),
        (
            "gpt-sos-120b.*.min_duration = 600000",
            "did you mean 'gpt-oss-120b'?",
        ),
        (
            "gpt-oss-120b.Servr.min_duration = 600000",
            "did you mean 'Server'?",
        ),
        ("*.*.min_duratoin = 600000", "did you mean 'min_duration'?"),
        (
            "gpt-oss-120b.Interactive.target_qps = 1",
            "'Server' of the model gpt-oss-120b-interactive",
        ),
        (
            "gpt-oss-120b.Offline.ttft_latency = 3000",
            "looked up for 'Server' only",
        ),
        (
            "gpt-oss-120b.SingleStream.target_latency = 90",
            "found the scenario 'SingleStream'",
        ),
        ("*.*.samples_per_query = 8", "'MultiStream' only"),
        ("*.*.qsl_rng_seed = 1", "built-in mlperf.conf only"),
        ("*.*.schedule_rng_seed = 1", "built-in mlperf.conf only"),
        ("*.Server.target_duration = 0", "built-in mlperf.conf only"),
        ("*.*.test07_accuracy_threshold = 60", "audit.config"),
    ] {
        ignored(line, part);
    }
}

#[test]
fn settings_that_have_no_place_in_a_user_conf() {
    says("*.*.mode = 2", "use --mode");
    says("*.Server.ttft_latency = 60000", "the benchmark's own limit");
    says("*.*.tpot_latency = 60000", "the benchmark's own limit");
    assert_eq!(
        errors("gpt-oss-120b.Server.ttft_latency = 60000"),
        [],
        "by name it is a test run's business"
    );
}

#[test]
fn every_error_is_reported_with_its_line() {
    let found = errors("*.*.min_duration = 1e6\n\n*.*.mode = 2\n*.*.max_duration = 1\nx y\n");
    assert_eq!(found.iter().map(|f| f.line).collect::<Vec<_>>(), [1, 3, 5]);
}

#[test]
fn bytes_that_are_no_lines_of_text() {
    let report = lint(b"# fine\n*.*.min_duration = \xff\n", Kind::User);
    assert_eq!((report.errors.len(), report.errors[0].line), (1, 2));
    assert!(
        lint(b"\xef\xbb\xbf# comment\n", Kind::User).errors[0]
            .text
            .contains("byte order mark")
    );
    let report = lint(b"*.*.min_duration = 1\r*.*.max_duration = 2\r", Kind::User);
    assert!(report.errors[0].text.contains("carriage return inside"));
    assert_eq!(lint(b"# caf\xe9\n", Kind::User), Report::default());
    let found = warnings("# dos\r\n*.*.min_duration = 600000\r\n");
    assert!(
        found.len() == 1 && found[0].0 == 1 && found[0].1.contains("CRLF"),
        "{found:?}"
    );
}

#[test]
fn lines_that_work_but_deserve_a_remark() {
    let found = warnings("*.*.min_duration = 1\n*.*.min_duration = 2\n");
    assert!(
        found[0].0 == 2 && found[0].1.contains("line 1 already"),
        "{found:?}"
    );
    let found = warnings("gpt-oss-120b.*.min_duration = 1\n*.Server.min_duration = 2\n");
    assert!(
        found[0]
            .1
            .contains("*.Server.min_duration goes before gpt-oss-120b.*.min_duration"),
        "{found:?}"
    );
    let found = warnings("*.*.performance_sample_count_override = 90\n");
    assert!(found[0].1.contains("name the model"), "{found:?}");
    let found = warnings("*.*.accuracy_log_sampling_target = 90\n");
    assert!(found[0].1.contains("audit.config"), "{found:?}");
    let found = warnings(
        "gpt-oss-120b.*.use_token_latencies = 0\ngpt-oss-120b.Server.ttft_latency = 5000\n",
    );
    assert!(
        found.len() == 1 && found[0].0 == 2 && found[0].1.contains("line 1 sets it to 0"),
        "{found:?}"
    );
}

#[test]
fn audit_configurations() {
    let text = "*.*.mode = 2\n*.*.sample_concatenate_permutation = 0\n*.*.test09_min_output_tokens = 1150.38";
    assert_eq!(found(text, Kind::Audit), []);
    let lint = |text: &'static str| lint(text.as_bytes(), Kind::Audit);
    assert!(
        lint("gpt-oss-120b.*.mode = 2").errors[0]
            .text
            .contains("expected '*'")
    );
    assert!(
        lint("*.*.mode = 4").errors[0]
            .text
            .contains("2 (performance)")
    );
    assert!(
        lint("*.*.test09_max_output_tokens = 2000 # high").errors[0]
            .text
            .contains("line of its own")
    );
    assert!(
        lint("*.*.qsl_rng_seed = 3").errors[0]
            .to_string()
            .contains("LoadGen ignores")
    );
}

#[test]
fn files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("user.conf");
    let missing = lint_file(&path, Kind::User).unwrap_err();
    assert!(matches!(missing, Error::Unreadable { .. }));
    std::fs::write(&path, "*.*.min_duration = 1e6\n*.*.mode = 1\n").unwrap();
    let text = lint_file(&path, Kind::User).unwrap_err().to_string();
    let lines: Vec<_> = text.lines().collect();
    assert!(
        lines[0].contains("user.conf:1: *.*.min_duration: found 1e6")
            && lines[1].contains("user.conf:2: *.*.mode"),
        "{text}"
    );
    std::fs::write(&path, "*.*.min_duration = 1\n*.*.min_duration = 2\n").unwrap();
    let found = lint_file(&path, Kind::User).unwrap();
    assert!(
        found.len() == 1 && found[0].contains("user.conf:2: "),
        "{found:?}"
    );
    std::fs::write(&path, vec![b'\n'; MAX_BYTES as usize + 1]).unwrap();
    assert!(matches!(
        lint_file(&path, Kind::User),
        Err(Error::TooLong { .. })
    ));
}

#[test]
fn a_stray_audit_config() {
    let dir = tempfile::tempdir().unwrap();
    assert!(refuse_stray_audit(dir.path(), None).is_ok());
    let path = dir.path().join("audit.config");
    std::fs::write(&path, "*.*.mode = 2\n").unwrap();
    let text = refuse_stray_audit(dir.path(), None)
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("audit.config") && text.contains("--audit-config"),
        "{text}"
    );
    let other = dir.path().join("other.config");
    std::fs::write(&other, "").unwrap();
    assert!(refuse_stray_audit(dir.path(), Some(&other)).is_err());
    assert!(refuse_stray_audit(dir.path(), Some(&dir.path().join("./audit.config"))).is_ok());
}
