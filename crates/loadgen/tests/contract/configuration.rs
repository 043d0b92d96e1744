//! Files, names and settings: applied as they read, or refused before anything is started.

use std::path::PathBuf;

use loadgen::{Mode, Scenario};

use crate::parent::Case;

fn offline() -> Case {
    Case::new(Scenario::Offline, Mode::PerformanceOnly)
}

#[test]
fn a_stray_audit_config_is_not_read() {
    let case = offline();
    case.file("audit.config", "*.*.performance_issue_same = 1\n");
    let done = case.test();
    done.assert_clean();
    assert_eq!(
        done.detail().bool("effective_performance_issue_same"),
        Some(false)
    );
}

#[test]
fn an_audit_config_given_by_path_is_applied() {
    let mut case = offline();
    case.file(
        "mine.config",
        "*.*.performance_issue_same = 1\n*.*.performance_issue_same_index = 3\n",
    );
    // Relative paths are taken from the working directory, as anywhere else.
    case.spec.audit_config = Some("mine.config".into());
    let done = case.test();
    let detail = done.detail();
    assert_eq!(detail.errors(), [""; 0]);
    assert_eq!(detail.bool("effective_performance_issue_same"), Some(true));
    assert!(
        detail.warnings().iter().any(|w| w.contains("Audit Config")),
        "{:?}",
        detail.warnings()
    );
    let expected = done.sets()[0][3];
    assert!(done.issued().iter().all(|index| *index == expected));
}

#[test]
fn an_audit_config_that_loadgen_would_drop_is_refused() {
    let mut case = offline();
    // A comment after a value: LoadGen would drop the file, say VALID, and nobody would know.
    case.spec.audit_config =
        Some(case.file("audit.config", "*.*.performance_issue_same = 1 # same\n"));
    let error = case.error();
    assert!(
        error.contains("audit.config") && error.contains("-22"),
        "{error}"
    );

    let mut case = offline();
    case.spec.audit_config = Some(case.dir.path().join("none.config"));
    let error = case.error();
    assert!(
        error.contains("none.config") && error.contains("No such file"),
        "{error}"
    );
}

#[test]
fn an_audit_config_that_begins_to_time_tokens_is_refused() {
    for (untimed, value) in [(true, 1), (false, 0)] {
        let mut case = match untimed {
            true => Case::untimed(Scenario::SingleStream, Mode::PerformanceOnly),
            false => offline(),
        };
        let line = format!("*.*.use_token_latencies = {value}\n");
        case.spec.audit_config = Some(case.file("audit.config", &line));
        let error = case.error();
        let expected = format!("sets use_token_latencies to {value}");
        assert!(error.contains(&expected), "{error}");
    }
}

#[test]
fn a_user_conf_that_loadgen_would_drop_or_that_changes_the_mode_is_refused() {
    for (text, expected) in [
        ("*.Offline.min_duration = abc\n", "-22"),
        ("*.Offline.min_duration = 1 # short\n", "-22"),
        (
            "*.*.mode = 1\n",
            "sets the mode to AccuracyOnly, but PerformanceOnly",
        ),
        ("*.*.mode = 0\n", "SubmissionRun"),
    ] {
        let mut case = offline();
        case.user_conf(text);
        let error = case.error();
        assert!(
            error.contains(expected) && error.contains("own.conf"),
            "{text:?}: {error}"
        );
    }
    for missing in ["none.conf", "."] {
        let mut case = offline();
        case.spec.user_conf = Some(case.dir.path().join(missing));
        let error = case.error();
        assert!(
            error.starts_with("user.conf ") && error.contains(missing),
            "{error}"
        );
    }
}

#[test]
fn settings_can_be_looked_at_any_number_of_times() {
    let mut settings = offline().spec.settings();
    settings.user_conf = None;
    let first = settings.requested().unwrap();
    // LoadGen skips mlperf.conf from its second user.conf on; these looks must not.
    for _ in 0..3 {
        assert_eq!(settings.requested().unwrap(), first);
        assert_eq!(settings.audited().unwrap(), first);
    }
    assert!(
        first.use_token_latencies
            && first.sample_concatenate_permutation
            && !first.infer_token_latencies
    );
    assert_eq!(
        (
            first.min_duration_ms,
            first.performance_sample_count_override
        ),
        (600_000, 6396)
    );
    // Offline at 1 sample/s for 600 s, 10 % more, padded to the whole set.
    assert_eq!(first.expected_samples(6396, 6396), 6396);

    let case = offline();
    let mut settings = case.spec.settings();
    settings.user_conf = Some(case.file("seeds.conf", "*.*.qsl_rng_seed = 1\n"));
    let requested = settings.requested().unwrap();
    assert_eq!(
        requested.seeds(),
        first.seeds(),
        "user.conf cannot change seeds"
    );
}

/// Server's schedule is drawn by the seed: as many queries as LoadGen then makes.
#[test]
fn what_is_scheduled_is_what_loadgen_makes() {
    for seed in [1, 2, 3] {
        let mut case = Case::new(Scenario::Server, Mode::PerformanceOnly);
        case.spec.overrides.schedule_rng_seed = Some(seed);
        case.spec.overrides.min_query_count = Some(1);
        case.spec.overrides.sample_concatenate_permutation = Some(false);
        case.spec.overrides.min_duration_ms = Some(500);
        let settings = case.spec.settings().requested().unwrap();
        let scheduled = settings.scheduled_samples(24, 12);
        let done = case.test();
        let made = done.detail().u64("generated_query_count");
        assert_eq!(made, Some(scheduled), "{seed}");
    }
}

#[test]
fn an_output_directory_that_cannot_be_written_is_refused() {
    let mut case = offline();
    case.spec.log.outdir = case.dir.path().join("none");
    let error = case.error();
    assert!(
        error.contains("none/mlperf_log_trace.json") && error.contains("must exist"),
        "{error}"
    );

    let mut case = offline();
    case.spec.log.outdir = case.file("file", "");
    assert!(case.error().contains("Not a directory"));

    let case = offline();
    std::fs::create_dir(case.dir.path().join("mlperf_log_detail.txt")).unwrap();
    assert!(case.error().contains("mlperf_log_detail.txt"));
}

#[test]
fn text_that_loadgen_cannot_log_is_refused() {
    let mut case = offline();
    case.spec.sut_name = "8x \"H100\"".into();
    assert!(case.error().contains("system under test"));

    let mut case = offline();
    case.spec.log.prefix = "a/b".into();
    assert!(case.error().contains("log prefix"));

    let mut case = offline();
    case.spec.log.outdir = PathBuf::from("a\0b");
    assert!(case.error().contains("output directory"));
}

#[test]
fn settings_that_loadgen_would_crash_on_are_refused() {
    let refused = |change: &dyn Fn(&mut Case)| {
        let mut case = offline();
        change(&mut case);
        case.error()
    };
    assert!(refused(&|case| case.spec.mode = Mode::FindPeakPerformance).contains("Use Server"));
    assert!(refused(&|case| case.spec.total = 0).contains("at least 1"));
    assert!(
        refused(&|case| case.spec.overrides.min_query_count = Some(u64::MAX))
            .contains("1 to 1000000000")
    );
    assert!(
        refused(&|case| {
            case.spec.overrides.set_target_qps(1e300);
            case.spec.overrides.min_duration_ms = Some(1000);
        })
        .contains("1 to 1000000000")
    );
    let nothing = refused(&|case| {
        case.spec.overrides.min_query_count = Some(0);
        case.spec.overrides.min_duration_ms = Some(0);
    });
    assert!(nothing.contains("0 samples"), "{nothing}");
    for rate in [0.0, -1.0] {
        let error = refused(&|case| {
            case.spec.scenario = Scenario::Server;
            case.spec.overrides.set_target_qps(rate);
        });
        assert!(error.contains("target_qps"), "{error}");
    }
    // TEST07 in Offline: the built-in override of 6396 and a library of 990 make LoadGen crash.
    let error = refused(&|case| {
        case.spec.user_conf = None;
        case.spec.audit_config =
            Some(case.file("test07.config", "*.*.performance_issue_unique = 1\n"));
        (case.spec.total, case.spec.performance) = (990, 990);
    });
    assert!(
        error.contains("performance_sample_count_override = 990"),
        "{error}"
    );
}

#[test]
fn a_test07_like_audit_issues_every_sample_once() {
    let mut case = offline();
    (case.spec.total, case.spec.performance) = (50, 50);
    case.user_conf("gpt-oss-120b.*.performance_sample_count_override = 50\n");
    let audit = "*.*.mode = 2\n*.*.performance_issue_unique = 1\n*.*.accuracy_log_sampling_target = 50\n\
                 *.*.min_query_count = 50\n*.*.min_duration = 0\n*.*.sample_concatenate_permutation = 0\n";
    case.spec.audit_config = Some(case.file("test07.config", audit));
    assert_eq!(
        case.spec
            .settings()
            .audited()
            .unwrap()
            .expected_samples(50, 50),
        50
    );
    let done = case.test();
    assert_eq!(done.detail().errors(), [""; 0]);
    let mut issued = done.issued();
    issued.sort_unstable();
    assert_eq!(issued, (0..50).collect::<Vec<_>>());
    assert_eq!(done.accuracy().len(), 50, "every response is logged");
}
