//! Performance and FindPeak runs: how much is issued, in which order, under which settings.

use loadgen::{Mode, Scenario, Seeds};

use crate::child::{Answer, Event};
use crate::parent::{Case, Done, GPT_OSS, LOADED, counts};

/// Checks that hold for every performance run of the default case; gives the number of samples issued.
fn check(done: &Done) -> usize {
    done.assert_clean();
    let sets = done.sets();
    assert_eq!(sets.len(), 1);
    assert_eq!(sets[0].len(), LOADED);
    let issued = done.issued();
    // Equal issue: whole permutations, so every loaded sample equally often.
    let counts = counts(&issued);
    assert!(
        sets[0]
            .iter()
            .all(|&index| counts[index] == issued.len() / LOADED),
        "{counts:?}"
    );
    assert_eq!(issued.len() % LOADED, 0);
    let detail = done.detail();
    assert_eq!(detail.str("result_validity"), Some("VALID"));
    assert_eq!(done.summary().0.as_deref(), Some("VALID"));
    assert_eq!(detail.str("sut_name"), Some("null SUT"));
    assert_eq!(detail.str("qsl_name"), Some("null library"));
    assert_eq!(detail.u64("num_errors"), Some(0));
    issued.len()
}

#[test]
fn offline_issues_one_query() {
    for answer in [Answer::Inline, Answer::Batches] {
        let mut case = Case::new(Scenario::Offline, Mode::PerformanceOnly);
        case.spec.answer = answer;
        let expected = case
            .spec
            .settings()
            .requested()
            .unwrap()
            .expected_samples(24, 12);
        let done = case.test();
        // 100 asked for, padded to whole permutations of 12.
        assert_eq!((check(&done), expected), (108, 108));
        assert_eq!(
            done.events()
                .iter()
                .filter(|e| matches!(e, Event::Issue(_)))
                .count(),
            1
        );
        let detail = done.detail();
        assert_eq!(detail.u64("generated_samples_per_query"), Some(108));
        assert_eq!(
            detail.u64("effective_samples_per_query"),
            Some(100),
            "LoadGen logs the number before padding"
        );
        assert!(detail.f64("result_tokens_per_second").unwrap() > 0.0);
    }
}

#[test]
fn server_issues_one_sample_a_query() {
    for (model, answer) in [
        (GPT_OSS, Answer::Inline),
        ("gpt-oss-120b-interactive", Answer::Batches),
    ] {
        let mut case = Case::new(Scenario::Server, Mode::PerformanceOnly);
        case.spec.answer = answer;
        case.spec.model = model.into();
        let requested = case.spec.settings().requested().unwrap();
        let limits = if model == GPT_OSS {
            (3_000_000_000, 80_000_000)
        } else {
            (2_000_000_000, 15_000_000)
        };
        assert_eq!(
            (requested.server_ttft_latency, requested.server_tpot_latency),
            limits
        );
        // A slow machine keeps neither.
        case.spec.overrides.server_ttft_latency = Some(100_000_000_000);
        case.spec.overrides.server_tpot_latency = Some(100_000_000_000);
        let done = case.test();
        // 700 asked for, padded to whole permutations of 12.
        assert_eq!(check(&done), 708);
        assert!(
            done.events()
                .iter()
                .all(|e| !matches!(e, Event::Issue(indices) if indices.len() != 1))
        );
        let detail = done.detail();
        assert!(detail.f64("result_completed_tokens_per_second").unwrap() > 0.0);
        assert!(detail.u64("result_first_token_mean_latency_ns").unwrap() > 0);
    }
}

/// 4 ms a sample on one thread, and 2,000 a second wanted: nearly all of a latency is before LoadGen hands the sample over.
#[test]
fn what_a_sample_is_late_is_in_loadgens_latencies() {
    for coalesce in [0, 1] {
        let mut case = Case::new(Scenario::Server, Mode::PerformanceOnly);
        case.spec.answer = Answer::Slowly(4);
        case.user_conf(&format!(
            "*.*.performance_sample_count_override = 12\n*.Server.target_qps = 2000\n*.Server.min_duration = 0\n\
             *.Server.min_query_count = 120\n*.Server.coalesce_queries = {coalesce}\n"
        ));
        let done = case.test();
        done.assert_clean();
        let queries = done.events().iter();
        let largest = queries.filter_map(|event| match event {
            Event::Issue(samples) => Some(samples.len()),
            _ => None,
        });
        assert_eq!(largest.max().unwrap() > 1, coalesce == 1);
        let mut ours = done.report().latencies_ns.clone();
        assert_eq!(ours.len(), 120);
        ours.sort_unstable();
        for (percentile, ours) in [(50, ours[60]), (90, ours[108])] {
            let key = format!("result_{percentile}.00_percentile_latency_ns");
            let theirs = done.detail().u64(&key).unwrap() as i64;
            // Ours are read before. That in between something else runs is in half of the samples not to be expected.
            let slack = theirs / 20;
            assert!(
                (theirs - slack..=theirs).contains(&ours),
                "{percentile}: {ours}, LoadGen's {theirs}"
            );
            assert!(ours > 50_000_000, "{ours}: the schedule was kept");
        }
    }
}

#[test]
fn requested_settings_are_those_that_loadgen_logs() {
    let mut case = Case::new(Scenario::Server, Mode::PerformanceOnly);
    case.spec.overrides.set_target_qps(4000.0);
    case.spec.overrides.min_query_count = Some(720);
    let done = case.test();
    check(&done);
    let (detail, requested) = (done.detail(), &done.report().requested);
    assert_eq!(requested["server_target_qps"], 4000.0);
    let effective = &done.report().effective;
    assert_eq!(effective["target_qps"], 4000.0);
    assert_eq!(effective["min_query_count"], 720);
    assert_eq!(effective["scenario"], "Server");
    assert_eq!(effective["test_mode"], "PerformanceOnly");
    assert_eq!(effective["sample_concatenate_permutation"], true);
    // Every setting that LoadGen logs is one of ours, by the same name and with the same value.
    let logged = detail.with_prefix("requested_");
    assert!(logged.len() >= 28, "{logged:?}");
    for (key, logged) in &logged {
        let ours = &requested[match key.as_str() {
            "test_mode" => "mode",
            key => key,
        }];
        match ours.as_f64() {
            Some(number) => assert_eq!(Some(number), logged.as_f64(), "{key}"),
            None => assert_eq!(ours, logged, "{key}"),
        }
    }
    // What LoadGen made of them too.
    for (key, logged) in &detail.with_prefix("effective_") {
        match effective[key].as_f64() {
            Some(number) => assert_eq!(Some(number), logged.as_f64(), "{key}"),
            None => assert_eq!(&effective[key], logged, "{key}"),
        }
    }
    // The seeds of round v6.1, submission checker constants 241-243.
    assert_eq!(requested["qsl_rng_seed"], 2085463073848966840_u64);
    assert_eq!(logged["sample_index_rng_seed"], 2747215439041700203_u64);
    assert_eq!(logged["schedule_rng_seed"], 16159082839903944936_u64);
}

#[test]
fn seeds_decide_the_order() {
    let test = |seeds: Option<Seeds>| {
        let mut case = Case::new(Scenario::Server, Mode::PerformanceOnly);
        if let Some(seeds) = seeds {
            case.spec.overrides.set_seeds(seeds);
        }
        let done = case.test();
        check(&done);
        let duration = done.detail().u64("generated_query_duration").unwrap();
        (done.sets().remove(0), done.issued(), duration)
    };
    let one = Seeds {
        qsl: 1,
        sample_index: 2,
        schedule: 3,
    };
    let (loaded, issued, duration) = test(Some(one));
    assert_eq!((loaded.clone(), issued.clone(), duration), test(Some(one)));
    let (loaded_2, issued_2, duration_2) = test(Some(Seeds {
        sample_index: 4,
        ..one
    }));
    assert_eq!((loaded_2, duration_2), (loaded.clone(), duration));
    assert_ne!(issued_2, issued);
    let (loaded_3, issued_3, duration_3) = test(Some(Seeds { schedule: 5, ..one }));
    assert_eq!((loaded_3, issued_3), (loaded.clone(), issued));
    assert_ne!(duration_3, duration);
    assert_ne!(test(Some(Seeds { qsl: 6, ..one })).0, loaded);
    assert_ne!(test(None).0, loaded, "the built-in seeds are others");
}

#[test]
fn logs_show_no_build_path_and_nothing_else_is_written() {
    let done = Case::new(Scenario::Offline, Mode::PerformanceOnly).test();
    let text = std::fs::read_to_string(done.path("detail.txt")).unwrap();
    assert!(!text.contains(env!("OUT_DIR")) && !text.contains(env!("CARGO_MANIFEST_DIR")));
    let detail = done.detail();
    assert!(detail.lines.len() > 50);
    for line in &detail.lines {
        let file = line.file();
        assert!(
            file.starts_with("loadgen/") && !file.contains(".."),
            "{file}"
        );
    }
    let logs = ["accuracy.json", "detail.txt", "summary.txt", "trace.json"]
        .map(|name| format!("mlperf_log_{name}"));
    assert_eq!(
        crate::parent::names(done.dir.path()),
        [&logs[..], &["user.conf".into()]].concat()
    );
    assert_eq!(
        std::fs::metadata(done.path("trace.json")).unwrap().len(),
        0,
        "tracing is off"
    );
}
