//! SingleStream and MultiStream, threads for Server's queries, tickets without tokens, and where the logs go: what the
//! comparison with the C++ program does not show.

use loadgen::{Mode, Scenario, TestSettings};
use serde_json::Value;

use crate::child::{Answer, Event, bytes_of};
use crate::parent::{Case, GPT_OSS, LOADED, TOTAL};

const STREAMS: [Scenario; 2] = [Scenario::SingleStream, Scenario::MultiStream];

#[test]
fn streams_are_answered_from_another_thread() {
    for scenario in STREAMS {
        let mut case = Case::new(scenario, Mode::PerformanceOnly);
        case.spec.answer = Answer::Batches;
        let settings = case.spec.settings().requested().unwrap();
        let most = settings.expected_samples(TOTAL as u64, LOADED as u64);
        let done = case.test();
        done.assert_clean();
        let size = match scenario {
            Scenario::MultiStream => 8,
            _ => 1,
        };
        let queries: Vec<_> = done
            .events()
            .iter()
            .filter(|e| matches!(e, Event::Issue(_)))
            .collect();
        assert!(
            queries
                .iter()
                .all(|e| matches!(e, Event::Issue(indices) if indices.len() == size))
        );
        // 100 and 700 asked for; SingleStream adds up to whole permutations of 12.
        let asked = if size == 1 { 108 } else { 700 };
        assert_eq!(queries.len(), asked);
        assert!(done.issued().len() as u64 <= most, "{most}");
        let performance = &done.report().summary["performance"];
        assert_eq!(performance["is_valid"], true, "{performance}");
        assert_eq!(performance["query_count"], asked);
        let result = &performance["result"][scenario.as_str()];
        assert!(result["early_stopping_latency_ns"].as_i64().unwrap() > 0);
        if scenario == Scenario::MultiStream {
            let latency = &result["query_latency"];
            assert!(latency["p99_ns"].as_i64().unwrap() >= latency["p50_ns"].as_i64().unwrap());
        }
        let first = &performance["tokens"]["first_token"];
        assert!(first["mean_ns"].as_i64().unwrap() > 0, "{performance}");
    }
}

#[test]
fn a_query_of_a_stream_comes_when_the_one_before_is_answered() {
    let mut case = Case::new(Scenario::SingleStream, Mode::PerformanceOnly);
    case.spec.answer = Answer::Slowly(1);
    case.user_conf("*.SingleStream.min_duration = 0\n*.SingleStream.min_query_count = 64\n*.*.performance_sample_count_override = 12\n");
    let done = case.test();
    done.assert_clean();
    let latencies = &done.report().latencies_ns;
    assert_eq!(latencies.len(), done.issued().len());
    // Each took a millisecond, which is no more than a sleep promises.
    assert!(latencies.iter().all(|ns| *ns >= 1_000_000));
    let fastest = &done.report().summary["performance"]["latency"]["min_ns"];
    assert!(fastest.as_i64().unwrap() >= 1_000_000, "{fastest}");
}

#[test]
fn the_summary_is_what_the_detail_log_says() {
    for scenario in Scenario::ALL {
        let done = Case::new(scenario, Mode::PerformanceOnly).test();
        let (detail, summary) = (done.detail(), &done.report().summary);
        let performance = &summary["performance"];
        assert_eq!(summary["scenario"], scenario.as_str());
        assert_eq!(summary["errors"], 0);
        assert_eq!(
            performance["is_valid"],
            detail.str("result_validity") == Some("VALID")
        );
        for (ours, theirs) in [
            ("/latency/p50_ns", "result_50.00_percentile_latency_ns"),
            ("/latency/p99_9_ns", "result_99.90_percentile_latency_ns"),
            ("/latency/mean_ns", "result_mean_latency_ns"),
            ("/query_count", "result_query_count"),
            (
                "/result/Offline/samples_per_second",
                "result_samples_per_second",
            ),
            (
                "/result/Server/scheduled_samples_per_second",
                "result_scheduled_samples_per_sec",
            ),
            (
                "/result/SingleStream/qps_with_loadgen_overhead",
                "result_qps_with_loadgen_overhead",
            ),
            (
                "/result/MultiStream/query_latency/max_ns",
                "result_max_query_latency_ns",
            ),
            (
                "/tokens/first_token/p90_ns",
                "result_first_token_90.00_percentile_latency_ns",
            ),
            (
                "/tokens/time_per_output_token/p97_ns",
                "result_time_per_output_token_97.00_percentile_ns",
            ),
            (
                "/tokens/time_per_output_token/min_ns",
                "result_time_to_output_token_min",
            ),
        ] {
            let found = performance.pointer(ours).and_then(Value::as_f64);
            assert_eq!(found, detail.f64(theirs), "{scenario:?} {ours}");
        }
        let rate = match scenario {
            Scenario::Offline => "result_tokens_per_second",
            _ => "result_completed_tokens_per_second",
        };
        assert_eq!(
            performance["tokens"]["tokens_per_second"].as_f64(),
            detail.f64(rate)
        );
    }
}

#[test]
fn servers_queries_come_on_as_many_threads_as_were_asked_for() {
    let mut case = Case::new(Scenario::Server, Mode::PerformanceOnly);
    case.spec.overrides.server_num_issue_query_threads = Some(3);
    let done = case.test();
    assert_eq!(done.detail().errors(), [""; 0]);
    assert_eq!(done.report().threads, 3);
    let mut issued = done.issued();
    issued.sort_unstable();
    // The same samples as on one thread, in whatever order.
    let one = Case::new(Scenario::Server, Mode::PerformanceOnly).test();
    assert_eq!(one.report().threads, 1);
    let mut expected = one.issued();
    expected.sort_unstable();
    assert_eq!(issued, expected);
}

#[test]
fn untimed_batches_are_logged_as_they_are() {
    for scenario in Scenario::ALL {
        let mut case = Case::untimed(scenario, Mode::AccuracyOnly);
        case.spec.answer = Answer::Batches;
        let done = case.test();
        done.assert_clean();
        let text = std::fs::read_to_string(done.path("accuracy.json")).unwrap();
        let entries: Vec<Value> = serde_json::from_str(&text).unwrap();
        assert_eq!(entries.len(), done.issued().len());
        for entry in entries {
            let index = entry["qsl_idx"].as_u64().unwrap() as usize;
            let [first, second] = bytes_of(index);
            assert_eq!(entry["data"], format!("{first:02X}{second:02X}"));
            assert_eq!(entry.get("token_count"), None);
        }
    }
}

#[test]
fn a_system_without_tokens_is_refused_where_they_are_timed() {
    let mut case = Case::untimed(Scenario::Server, Mode::PerformanceOnly);
    case.spec.model = GPT_OSS.into();
    let error = case.error();
    assert!(
        error.contains("use_token_latencies is set for gpt-oss-120b"),
        "{error}"
    );
}

#[test]
fn logs_have_the_names_that_were_asked_for() {
    let mut case = Case::new(Scenario::Offline, Mode::PerformanceOnly);
    case.spec.log.prefix = "one_".into();
    case.spec.log.suffix = "_two".into();
    case.spec.log.prefix_with_datetime = true;
    let done = case.test();
    for (path, name) in done
        .report()
        .logs
        .iter()
        .zip(["summary", "detail", "accuracy"])
    {
        let file = path.file_name().unwrap().to_str().unwrap();
        // one_2026-11-30T08:44:42Z_summary_two.txt
        let rest = file.strip_prefix("one_2").unwrap();
        let (date, rest) = rest.split_once('_').unwrap();
        assert!(date.contains('T') && date.ends_with('Z'), "{file}");
        assert!(rest.starts_with(&format!("{name}_two.")), "{file}");
        assert!(std::fs::metadata(path).unwrap().len() > 0, "{file}");
    }
    assert_eq!(
        crate::parent::names(done.dir.path()).len(),
        4 + 1,
        "LoadGen made no others"
    );

    for (prefix, suffix) in [("a/b", ""), ("", "a/b"), ("a\n", "")] {
        let mut case = Case::new(Scenario::Offline, Mode::PerformanceOnly);
        (case.spec.log.prefix, case.spec.log.suffix) = (prefix.into(), suffix.into());
        let error = case.error();
        assert!(error.contains("the log "), "{error}");
    }
}

#[test]
fn logs_are_copied_and_traced_where_that_was_asked_for() {
    for (detail, summary, trace) in [
        (false, false, false),
        (true, false, false),
        (false, true, false),
        (false, false, true),
    ] {
        let mut case = Case::new(Scenario::Offline, Mode::PerformanceOnly);
        case.spec.log.copy_detail_to_stdout = detail;
        case.spec.log.copy_summary_to_stdout = summary;
        case.spec.log.enable_trace = trace;
        let done = case.test();
        assert_eq!(done.stdout.contains(":::MLLOG"), detail);
        assert_eq!(done.stdout.contains("MLPerf Results Summary"), summary);
        let traced = std::fs::metadata(done.path("trace.json")).unwrap().len();
        assert_eq!(traced > 0, trace, "{traced}");
    }
}

#[test]
fn settings_of_streams_that_loadgen_would_crash_on_are_refused() {
    let refused = |scenario, mode, change: &dyn Fn(&mut Case)| {
        let mut case = Case::new(scenario, mode);
        change(&mut case);
        case.error()
    };
    for scenario in [
        Scenario::SingleStream,
        Scenario::MultiStream,
        Scenario::Offline,
    ] {
        let error = refused(scenario, Mode::FindPeakPerformance, &|_| {});
        assert!(error.contains("Use Server"), "{error}");
    }
    for ns in [0.0, -1.0, 0.5, f64::MAX] {
        let error = refused(Scenario::SingleStream, Mode::PerformanceOnly, &|case| {
            case.spec.overrides.single_stream_expected_latency_ns = Some(ns);
        });
        assert!(
            error.contains("single_stream_expected_latency_ns"),
            "{error}"
        );
    }
    let error = refused(Scenario::MultiStream, Mode::AccuracyOnly, &|case| {
        case.spec.overrides.multi_stream_samples_per_query = Some(0);
    });
    assert!(error.contains("samples_per_query is 0"), "{error}");
    let error = refused(Scenario::Server, Mode::PerformanceOnly, &|case| {
        case.spec.overrides.server_num_issue_query_threads = Some(1_000_000);
    });
    assert!(error.contains("server_num_issue_query_threads"), "{error}");
    let error = refused(Scenario::Server, Mode::PerformanceOnly, &|case| {
        case.spec.overrides.performance_issue_same = Some(true);
        case.spec.overrides.performance_issue_same_index = Some(LOADED as u64);
    });
    assert!(error.contains("past their end"), "{error}");
    let error = refused(Scenario::Server, Mode::PerformanceOnly, &|case| {
        case.spec.overrides.min_query_count = Some(0);
    });
    assert!(error.contains("min_query_count to 1"), "{error}");
    let error = refused(Scenario::Server, Mode::AccuracyOnly, &|case| {
        case.spec.overrides.test05 = Some(true);
    });
    assert!(error.contains("test05"), "{error}");
}

#[test]
fn percentiles_and_searches_without_an_end_are_refused() {
    for percent in ["100", "0", "-1", "nan"] {
        for scenario in [
            Scenario::SingleStream,
            Scenario::MultiStream,
            Scenario::Server,
        ] {
            let mut case = Case::new(scenario, Mode::PerformanceOnly);
            case.user_conf(&format!("*.*.target_latency_percentile = {percent}\n"));
            let error = case.error();
            assert!(error.contains("_target_latency_percentile is"), "{error}");
        }
    }
    let peak = |change: &dyn Fn(&mut Case)| {
        let mut case = Case::new(Scenario::Server, Mode::FindPeakPerformance);
        change(&mut case);
        case.error()
    };
    for step in [0.0, -1.0, f64::MAX] {
        let error = peak(&|case| {
            case.spec.overrides.server_find_peak_qps_boundary_step_size = Some(step);
        });
        assert!(error.contains("boundary_step_size"), "{error}");
    }
    for decimals in [-1, 7] {
        let error = peak(&|case| {
            case.spec
                .overrides
                .server_find_peak_qps_decimals_of_precision = Some(decimals);
        });
        assert!(error.contains("decimals_of_precision"), "{error}");
    }
}

/// The members of `TestSettings` in LoadGen's own header, so that a new one is noticed.
#[test]
fn every_member_of_loadgens_settings_is_one_of_ours() {
    let header = std::path::Path::new(env!("LOADGEN_DIRECTORY")).join("test_settings.h");
    let text = std::fs::read_to_string(header).unwrap();
    let (_, body) = text.split_once("struct TestSettings {").unwrap();
    let (body, _) = body.split_once("int FromConfig(").unwrap();
    let members: Vec<&str> = body
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('/') && line.contains(';'))
        .map(|line| {
            let declared = line.split([';', '=']).next().unwrap().trim();
            declared.rsplit(' ').next().unwrap()
        })
        .collect();
    let ours: Vec<&str> = ["scenario", "mode"]
        .iter()
        .chain(TestSettings::NAMES)
        .copied()
        .collect();
    assert_eq!(members, ours);
}
