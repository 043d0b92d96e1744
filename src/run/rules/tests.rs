//! The settings are those of real LoadGen 6.0.17 logs of a complete submission (a null SUT), so that key names and number
//! types are LoadGen's and not ours.

use serde_json::json;

use super::*;

fn logged(run: &str) -> BTreeMap<String, Value> {
    let text = include_str!("../../../tests/fixtures/settings/base_tree.json");
    let mut runs: BTreeMap<String, BTreeMap<String, Value>> = serde_json::from_str(text).unwrap();
    runs.remove(run).unwrap()
}

/// The run of that name as a submitter would have done it.
fn official(run: &str) -> RunFacts {
    let (scenario, test) = run.split_once('/').unwrap();
    let scenario = match scenario {
        "offline" => Scenario::Offline,
        "server" => Scenario::Server,
        _ => Scenario::Interactive,
    };
    let (mode, audit, dataset_rows) = match test {
        "performance" => (Mode::Performance, None, 6396),
        "accuracy" => (Mode::Accuracy, None, 4395),
        "test07" => (Mode::Performance, Some(Audit::Test07), 990),
        _ => (Mode::Performance, Some(Audit::Test09), 6396),
    };
    RunFacts {
        round: "v6.1".into(),
        scenario,
        mode,
        settings: logged(run),
        dataset_rows,
        engine: EngineName::Cpu,
        model: Some(rules().model.dimensions.clone()),
        temperature: 1.0,
        top_p: 1.0,
        top_k: 0,
        max_new_tokens: rules().max_new_tokens(mode).value[0],
        prng: "mt19937".into(),
        dtype: "bf16".into(),
        synthetic: Vec::new(),
        speculation: None,
        audit,
        loadgen_version: "6.0.17".into(),
        loadgen_is_pinned: true,
    }
}

/// The only deviation of an official run in which one thing was changed.
fn only(run: &str, change: impl FnOnce(&mut RunFacts)) -> String {
    let mut facts = official(run);
    change(&mut facts);
    let mut found = deviations(&facts);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn set(run: &str, key: &str, value: Value) -> String {
    only(run, |facts| {
        assert!(
            facts.settings.insert(key.into(), value).is_some(),
            "LoadGen logs {key}"
        );
    })
}

#[test]
fn real_submission_logs_deviate_in_nothing() {
    for scenario in ["offline", "server", "interactive"] {
        for test in ["performance", "accuracy", "test07", "test09"] {
            let run = format!("{scenario}/{test}");
            assert_eq!(deviations(&official(&run)), [] as [String; 0], "{run}");
        }
    }
}

#[test]
fn sentences_say_what_was_found_and_what_is_asked() {
    assert_eq!(
        set(
            "server/performance",
            "effective_min_duration_ms",
            json!(2000)
        ),
        "min_duration_ms is 2000, round v6.1 asks for at least 600000 \
         (checker, performance_check.py; mlperf.conf *.Server.min_duration)"
    );
    let text = only("offline/performance", |f| {
        drop(f.settings.remove("effective_samples_per_query"))
    });
    assert!(
        text.starts_with(
            "samples_per_query is not in LoadGen's log, round v6.1 asks for at least 6396"
        ),
        "{text}"
    );
}

#[test]
fn performance_settings() {
    let offline = "offline/performance";
    set(offline, "effective_samples_per_query", json!(6395));
    set(offline, "effective_performance_sample_count", json!(4395));
    set(
        offline,
        "effective_sample_concatenate_permutation",
        json!(false),
    );
    set(offline, "effective_performance_issue_unique", json!(true));
    set(offline, "effective_max_query_count", json!(100));
    set(offline, "effective_max_duration_ms", json!(700_000));
    set(
        offline,
        "effective_schedule_rng_seed",
        json!(16159082839903944937_u64),
    );
    set(offline, "requested_use_token_latencies", json!(false));
    set("server/performance", "effective_scenario", json!("Offline"));
    set(
        "server/performance",
        "requested_server_ttft_latency",
        json!(60_000_000_000_u64),
    );
    set(
        "server/performance",
        "requested_server_coalesce_queries",
        json!(true),
    );
    only(offline, |f| f.dataset_rows = 4395);
    only(offline, |f| f.mode = Mode::FindPeak);
}

#[test]
fn interactive_has_its_own_limits() {
    let text = set(
        "interactive/performance",
        "requested_server_tpot_latency",
        json!(20_000_000),
    );
    assert!(text.contains("at most 15000000"), "{text}");
    set(
        "interactive/performance",
        "requested_server_ttft_latency",
        json!(3_000_000_000_u64),
    );
    // Stricter than asked is allowed.
    let mut facts = official("interactive/performance");
    facts
        .settings
        .insert("requested_server_tpot_latency".into(), json!(12_000_000));
    assert!(deviations(&facts).is_empty());
}

#[test]
fn rounds_have_their_own_seeds() {
    let mut facts = official("offline/performance");
    facts.round = "v6.0".into();
    let found = deviations(&facts);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].contains("2465351861681999779"), "{found:?}");
    facts.round = "v7".into();
    assert_eq!(
        deviations(&facts),
        ["round v7 is not known; known: v6.0, v6.1"]
    );
}

#[test]
fn accuracy_runs() {
    let run = "server/accuracy";
    set(run, "effective_accuracy_sample_count", json!(90));
    only(run, |f| f.max_new_tokens = 10240);
    only(run, |f| f.dataset_rows = 4394);
    only(run, |f| f.audit = Some(Audit::Test07));
}

#[test]
fn compliance_runs() {
    let text = set(
        "offline/test07",
        "effective_performance_sample_count",
        json!(6396),
    );
    assert!(text.contains("asks for 990"), "{text}");
    set(
        "offline/test07",
        "effective_performance_issue_unique",
        json!(false),
    );
    set(
        "server/test09",
        "effective_accuracy_log_sampling_target",
        json!(990),
    );
    set("server/test09", "effective_min_sample_count", json!(100));
    only("offline/test07", |f| f.audit = Some(Audit::Unknown));
}

#[test]
fn audit_configurations_are_told_apart() {
    assert_eq!(
        Audit::of(include_str!(
            "../../../mlperf_conf/audit/TEST07/audit.config"
        )),
        Audit::Test07
    );
    assert_eq!(
        Audit::of(include_str!(
            "../../../mlperf_conf/audit/TEST09/audit.config"
        )),
        Audit::Test09
    );
    assert_eq!(
        Audit::of("# *.*.test07_accuracy_threshold = 1\n*.*.mode = 2\n"),
        Audit::Unknown
    );
}

#[test]
fn generation() {
    let run = "offline/performance";
    only(run, |f| f.temperature = 0.0);
    only(run, |f| f.top_p = 0.9);
    only(run, |f| f.top_k = 40);
    only(run, |f| f.prng = "xoshiro".into());
    only(run, |f| f.dtype = "int4".into());
    assert!(only(run, |f| f.max_new_tokens = 32).contains("10240 or 10000"));
    let mut facts = official(run);
    facts.max_new_tokens = 10000;
    assert!(
        deviations(&facts).is_empty(),
        "the sources contradict each other, either is accepted"
    );
    only(run, |f| f.synthetic.push("prompts".into()));
    only(run, |f| f.loadgen_is_pinned = false);
    only(run, |f| f.loadgen_version = "6.0.16".into());
}

#[test]
fn another_model_or_none() {
    let run = "offline/performance";
    let text = only(run, |f| {
        let model = f.model.as_mut().unwrap();
        (model.num_hidden_layers, model.vocab_size) = (4, 910);
    });
    assert!(
        text.contains("num_hidden_layers 4 instead of 36, vocab_size 910 instead of 201088"),
        "{text}"
    );
    only(run, |f| f.model = None);
    let echo = only(run, |f| {
        (f.engine, f.model, f.max_new_tokens) = (EngineName::Echo, None, 3)
    });
    assert!(echo.contains("scripted"), "{echo}");
}

/// 0.99 x 83.13 and the sizes that the comments derive: a typing error in the data would be believed by everything else.
#[test]
fn numbers_agree_with_each_other() {
    let accuracy = &rules().accuracy;
    assert!((accuracy.min_score.value - 0.99 * accuracy.reference_score.value).abs() < 1e-9);
    let repeats = &accuracy.repeats.value;
    let questions = [
        ("aime25", 30),
        ("gpqa_diamond", 198),
        ("livecodebench_v6", 1055),
    ];
    let total: u64 = questions
        .iter()
        .map(|(name, n)| n * u64::from(repeats[*name]))
        .sum();
    assert_eq!((total, repeats.len()), (accuracy.sample_count.value, 3));
    assert_eq!(accuracy.sample_count.value, accuracy.dataset_rows.value);
    let performance = &rules().performance;
    assert_eq!(
        performance.sample_count.value,
        performance.dataset_rows.value
    );
    let gpqa = 198 * u64::from(repeats["gpqa_diamond"]);
    assert_eq!(rules().compliance.test07.sample_count.value, gpqa);
    assert_eq!(rules().generation.min_new_tokens.value, 1);
    let scenarios = [Scenario::Offline, Scenario::Server, Scenario::Interactive];
    let models = scenarios.map(|scenario| rules().scenario(scenario).model_name.value.as_str());
    assert_eq!(
        models,
        ["gpt-oss-120b", "gpt-oss-120b", "gpt-oss-120b-interactive"]
    );
}

fn speculating(steps: u32) -> Option<SpeculationFacts> {
    Some(SpeculationFacts {
        tensors_sha256: "ab12".into(),
        revision: None,
        steps,
    })
}

/// No head is known yet, so that one deviation is always there; each of the others has its own.
#[test]
fn speculation_is_for_interactive_with_three_drafts_of_the_known_head() {
    let found = |run: &str, steps| {
        let mut facts = official(run);
        facts.speculation = speculating(steps);
        deviations(&facts)
    };
    let official = found("interactive/performance", 3);
    assert_eq!(official.len(), 1, "{official:?}");
    for part in ["not verified", "ab12", "Eagle3-long-context", "rules 1213"] {
        assert!(official[0].contains(part), "{}", official[0]);
    }
    let four = found("interactive/performance", 4);
    assert_eq!(four.len(), 2, "{four:?}");
    assert!(
        four[0].contains("drafted at a time is 4, round v6.1 asks for 3"),
        "{four:?}"
    );
    for run in [
        "offline/performance",
        "server/performance",
        "offline/accuracy",
    ] {
        let elsewhere = found(run, 3);
        assert_eq!(elsewhere.len(), 2, "{elsewhere:?}");
        assert!(
            elsewhere[0].contains("interactive alone (rules 1213"),
            "{elsewhere:?}"
        );
    }
    let stated = only("interactive/performance", |facts| {
        facts.speculation = speculating(3);
        facts.speculation.as_mut().unwrap().revision = Some("633c\u{1b}af45".into());
    });
    assert!(stated.contains(r"stated to be 633c\u{1b}af45"), "{stated}");
}
