//! What the reader says is held against LoadGen itself: its own parser reads the same random file, through the binding.

use ::loadgen::{Mode, Scenario, Settings as Test, TestSettings};
use ossmark_logs::config;
use proptest::prelude::*;

use super::*;

/// What LoadGen holds after it has read mlperf.conf and, if there is one, the file.
fn loadgen(file: Option<&Path>, scenario: Scenario, model: &str) -> Result<TestSettings, String> {
    let mut test = Test::new(scenario, Mode::PerformanceOnly, model, "/");
    test.user_conf = file.map(Path::to_owned);
    test.requested().map_err(|error| error.to_string())
}

/// The value that LoadGen finds under a key: most exact name first, of equal names the last.
fn look_up<'a>(
    settings: &[Setting<'a>],
    model: &str,
    scenario: &str,
    key: &str,
) -> Option<&'a str> {
    let places = [(model, scenario), ("*", scenario), (model, "*"), ("*", "*")];
    places.iter().find_map(|(model, scenario)| {
        let named =
            |s: &&Setting<'a>| (s.model, s.scenario, s.key.name) == (*model, *scenario, key);
        settings.iter().rev().find(named).map(|s| s.value)
    })
}

/// What LoadGen must hold if the reader understood every line; the mode's number apart. `got` gives the values that nobody
/// claims to know (hexadecimal fractions), and those of other scenarios.
fn expected(settings: &[Setting<'_>], model: &str, got: &TestSettings) -> TestSettings {
    let mut out = loadgen(None, got.scenario, model).unwrap();
    let scenario = got.scenario.as_str();
    let whole =
        |scenario: &str, key: &str| look_up(settings, model, scenario, key).map(config::whole);
    let real = |key: &str, got: f64, factor: f64| {
        let scenario = if key == "target_qps" {
            scenario
        } else {
            "Server"
        };
        look_up(settings, model, scenario, key)
            .map(|value| config::real(value).map_or(got, |number| number * factor))
    };
    for (key, field) in [
        ("min_duration", &mut out.min_duration_ms),
        ("max_duration", &mut out.max_duration_ms),
        ("min_query_count", &mut out.min_query_count),
        ("max_query_count", &mut out.max_query_count),
        (
            "performance_sample_count_override",
            &mut out.performance_sample_count_override,
        ),
        (
            "accuracy_sample_count_override",
            &mut out.accuracy_sample_count_override,
        ),
        (
            "performance_issue_same_index",
            &mut out.performance_issue_same_index,
        ),
        ("accuracy_log_rng_seed", &mut out.accuracy_log_rng_seed),
        (
            "accuracy_log_sampling_target",
            &mut out.accuracy_log_sampling_target,
        ),
    ] {
        *field = whole(scenario, key).unwrap_or(*field);
    }
    for (key, scenario, field, only_one_is_true) in [
        (
            "use_token_latencies",
            scenario,
            &mut out.use_token_latencies,
            true,
        ),
        (
            "infer_token_latencies",
            scenario,
            &mut out.infer_token_latencies,
            true,
        ),
        (
            "sample_concatenate_permutation",
            scenario,
            &mut out.sample_concatenate_permutation,
            true,
        ),
        (
            "performance_issue_unique",
            scenario,
            &mut out.performance_issue_unique,
            false,
        ),
        (
            "performance_issue_same",
            scenario,
            &mut out.performance_issue_same,
            false,
        ),
        (
            "print_timestamps",
            scenario,
            &mut out.print_timestamps,
            false,
        ),
        (
            "coalesce_queries",
            "Server",
            &mut out.server_coalesce_queries,
            false,
        ),
    ] {
        *field =
            whole(scenario, key).map_or(*field, |n| if only_one_is_true { n == 1 } else { n != 0 });
    }
    if out.use_token_latencies {
        for (key, field) in [
            ("ttft_latency", &mut out.server_ttft_latency),
            ("tpot_latency", &mut out.server_tpot_latency),
        ] {
            *field = whole("Server", key).map_or(*field, |ms| ms.wrapping_mul(1_000_000));
        }
    }
    out.server_target_latency_ns = whole("Server", "target_latency")
        .map_or(out.server_target_latency_ns, |ms| {
            ms.wrapping_mul(1_000_000)
        });
    out.server_max_async_queries = whole("Server", "max_async_queries")
        .map_or(out.server_max_async_queries, |n| n as i32 as u64);
    let rate = real("target_qps", got.target_qps(), 1.0).unwrap_or(out.target_qps());
    let is_server = got.scenario == Scenario::Server;
    (out.server_target_qps, out.offline_expected_qps) = match is_server {
        true => (rate, got.offline_expected_qps),
        false => (got.server_target_qps, rate),
    };
    out.server_target_latency_percentile = real(
        "target_latency_percentile",
        got.server_target_latency_percentile,
        0.01,
    )
    .unwrap_or(out.server_target_latency_percentile);
    TestSettings {
        single_stream_expected_latency_ns: got.single_stream_expected_latency_ns,
        single_stream_target_latency_percentile: got.single_stream_target_latency_percentile,
        multi_stream_expected_latency_ns: got.multi_stream_expected_latency_ns,
        multi_stream_target_latency_percentile: got.multi_stream_target_latency_percentile,
        multi_stream_samples_per_query: got.multi_stream_samples_per_query,
        token_latency_scaling_factor: got.token_latency_scaling_factor,
        ..out
    }
}

/// Holds everything that the reader says of a file against LoadGen.
fn holds(bytes: &[u8]) -> Result<(), TestCaseError> {
    let report = lint(bytes, Kind::User);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, bytes).unwrap();
    let dropped = report
        .errors
        .iter()
        .any(|finding| finding.effect == LoadgenAction::DropsFile);
    for finding in report.errors.iter().chain(&report.warnings) {
        let read = report.settings.iter().find(|s| s.line == finding.line);
        match finding.effect {
            LoadgenAction::Reads(n) if read.unwrap().key.name == "max_async_queries" => {
                prop_assert_eq!(n, config::whole(read.unwrap().value) as i32 as u64);
            }
            LoadgenAction::Reads(n) => prop_assert_eq!(n, config::whole(read.unwrap().value)),
            LoadgenAction::Ignores | LoadgenAction::DropsFile => {
                prop_assert!(read.is_none(), "{:?}", finding)
            }
            LoadgenAction::Takes => {}
        }
    }
    for (scenario, model) in [
        (Scenario::Offline, "gpt-oss-120b"),
        (Scenario::Server, "gpt-oss-120b"),
        (Scenario::Server, "gpt-oss-120b-interactive"),
    ] {
        let mode = look_up(&report.settings, model, scenario.as_str(), "mode").map(config::whole);
        match loadgen(Some(file.path()), scenario, model) {
            Err(why) if dropped => prop_assert!(why.contains("-22"), "{}", why),
            Err(why) => prop_assert!(
                matches!(mode, Some(0 | 1 | 3)) && why.contains("sets the mode"),
                "{}",
                why
            ),
            Ok(got) => {
                prop_assert!(
                    !dropped && !matches!(mode, Some(0 | 1 | 3)),
                    "LoadGen takes it: {:?}",
                    report
                );
                // As text: one of the numbers may be NaN.
                prop_assert_eq!(
                    format!("{got:?}"),
                    format!("{:?}", expected(&report.settings, model, &got))
                );
            }
        }
    }
    Ok(())
}

fn any_of(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(words).prop_map(str::to_owned)
}

fn name() -> impl Strategy<Value = String> {
    let keys: Vec<String> = keys::names().map(str::to_owned).collect();
    let key = prop_oneof![
        8 => prop::sample::select(keys),
        1 => any_of(&["performance_sample_count", "min_duration_ms", "Target_QPS", "nonsense"]),
    ];
    let model = any_of(&[
        "gpt-oss-120b",
        "gpt-oss-120b",
        "*",
        "*",
        "gpt-oss-120b-interactive",
        "resnet50",
        "gpt-oss-120B",
        "a.b",
    ]);
    let scenario = any_of(&[
        "Offline",
        "Server",
        "*",
        "*",
        "SingleStream",
        "MultiStream",
        "Interactive",
        "server",
    ]);
    prop_oneof![
        16 => (model, scenario, key).prop_map(|(m, s, k)| format!("{m}.{s}.{k}")),
        1 => any_of(&["min_duration", "*.min_duration", "*.*.min_duration=5", "*.*.min_duration=", "..", "é.*.mode", "#", "##", "="]),
    ]
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => (0u64..5000).prop_map(|n| n.to_string()),
        2 => any::<u64>().prop_map(|n| n.to_string()),
        2 => any::<f64>().prop_map(|x| format!("{x:e}")),
        2 => any::<f32>().prop_map(|x| x.to_string()),
        3 => any_of(&["0", "1", "1e6", "2.5", ".5", "5.", "010", "08", "0x1F", "0X1p3", "0x.8", "0x", "-1", "+7", "-0", "inf", "-Infinity", "nan",
            "NAN(x_1)", "1e999", "18446744073709551616", "4294967297", "1e", "1,5", "ten", "true", "1_000", "１", "\"1\"", "1;"]),
        1 => "[0-9a-fxpeE.+-]{1,6}".prop_filter("which of C's libraries takes binary digits is not known", |s| {
            !s.trim_start_matches(['+', '-']).starts_with("0b")
        }),
    ]
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    let equals = prop_oneof![
        12 => Just(" = ".to_owned()),
        2 => any_of(&["=", " =", "= ", " ", "\t=\x0b", " = = ", " == ", "\r=\r", " # "]),
    ];
    let rest = prop_oneof![
        12 => Just(String::new()),
        2 => any_of(&[" # why", " #why", " 7", " x", "\r", "  ", " = 7", " #"]),
    ];
    let before = any_of(&["", "", "", "", "", "", "#", "# ", "\t", "\u{feff}"]);
    let setting = (
        before,
        name(),
        equals,
        prop_oneof![20 => value(), 1 => Just(String::new())],
        rest,
    )
        .prop_map(|(b, n, e, v, r)| format!("{b}{n}{e}{v}{r}").into_bytes());
    prop_oneof![
        20 => setting,
        2 => any_of(&["", " ", "# words = here", "#word", "#two words", "#key = 1", "#key = a", "\u{a0}"]).prop_map(String::into_bytes),
        1 => prop::collection::vec(prop::sample::select(b"#= \t\r.*a1\xff\0".as_slice()), 0..12),
    ]
}

proptest! {
    // Longer: PROPTEST_CASES=100000 cargo test --release -p ossmark user_conf::tests::loadgen
    #[test]
    fn what_is_said_is_what_loadgen_does(
        lines in prop::collection::vec(line(), 0..6), end in any_of(&["\n", "\r\n"]), closed in any::<bool>()
    ) {
        let mut bytes = lines.join(end.as_bytes());
        if closed {
            bytes.extend(end.bytes());
        }
        holds(&bytes)?;
    }

    /// Files that LoadGen mostly takes, so that settings meet each other.
    #[test]
    fn what_is_said_of_settings_is_what_loadgen_holds(
        lines in prop::collection::vec((name(), 0u64..3), 0..40)
    ) {
        let text: String = lines.iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
        holds(text.as_bytes())?;
    }
}

#[test]
fn the_published_case_and_its_siblings() {
    for text in [
        "#gpt-oss-120b.Offline.target_qps = 10\ngpt-oss-120b.Offline.target_qps = 40\n",
        "gpt-oss-120b.*.performance_sample_count = 10\ngpt-oss-120b.Interactive.target_qps = 40\nresnet50.*.min_duration = 1e6\n",
        "*.*.use_token_latencies = 0\ngpt-oss-120b.Server.ttft_latency = 40\n",
    ] {
        let report = lint(text.as_bytes(), Kind::User);
        assert_eq!(report.errors, [], "{text}");
        holds(text.as_bytes()).unwrap();
    }
}
