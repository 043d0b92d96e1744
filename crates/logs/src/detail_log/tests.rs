use super::*;

fn line(key: &str, value: &str, error: bool) -> String {
    format!(
        ":::MLLOG {{\"key\": \"{key}\", \"value\": {value}, \"time_ms\": 1.000250, \"namespace\": \"mlperf::logging\", \
         \"event_type\": \"POINT_IN_TIME\", \"metadata\": {{\"is_error\": {error}, \"is_warning\": false, \"file\": \
         \"results.cc\", \"line_no\": 7, \"pid\": 1, \"tid\": 2}}}}\n"
    )
}

fn parse(text: &str) -> Result<DetailLog, Error> {
    DetailLog::parse(text.as_bytes(), Path::new("detail.txt"))
}

#[test]
fn values_keep_their_types_and_the_last_wins() {
    let text = [
        line("effective_schedule_rng_seed", "16159082839903944936", false),
        line("result_validity", "\"INVALID\"", false),
        line("result_validity", "\"VALID\"", false),
        line("result_tokens_per_second", "5.04733e+06", false),
        line("loaded_qsl_set", "[2,0,1]", false),
    ];
    let log = parse(&text.concat()).unwrap();
    assert_eq!(
        log.u64("effective_schedule_rng_seed"),
        Some(16159082839903944936)
    );
    assert_eq!(log.str("result_validity"), Some("VALID"));
    assert_eq!(log.f64("result_tokens_per_second"), Some(5.04733e6));
    assert_eq!(log.values("result_validity").count(), 2);
    assert_eq!(log.with_prefix("result_")["validity"], "VALID");
    assert_eq!(log.entries[0].time_ms, 1.00025);
    assert_eq!(
        (log.entries[0].file.as_str(), log.entries[0].line),
        ("results.cc", 7)
    );
}

#[test]
fn values_that_are_no_json_are_read_as_text() {
    let text = [
        line("a", "inf", false),
        line("b", "-nan", false),
        line("c", "\"open \"x\"\"", false),
    ];
    let log = parse(&text.concat()).unwrap();
    assert_eq!(log.f64("a"), Some(f64::INFINITY));
    assert!(log.f64("b").unwrap().is_nan());
    assert_eq!(log.str("c"), Some("open \"x\""));
}

#[test]
fn errors_are_counted_beyond_those_kept() {
    let mut text = line("error_runtime", "\"boom\"", true).repeat(MESSAGES_KEPT + 5);
    text += &line("num_errors", "1005", false);
    let log = parse(&text).unwrap();
    assert_eq!(
        (log.error_count, log.errors.len(), log.entries.len()),
        (1005, MESSAGES_KEPT, MESSAGES_KEPT + 1)
    );
    assert_eq!(log.errors[0], "boom");
    assert!(log.is_complete());
}

#[test]
fn a_cut_last_line_is_tolerated_and_remembered() {
    let whole = line("num_errors", "0", false);
    for cut in [1, 9, 30, whole.len() - 2] {
        let log = parse(&format!("{whole}{}", &whole[..cut])).unwrap();
        assert!(
            log.truncated && log.entries.len() == 1 && !log.is_complete(),
            "cut at {cut}"
        );
    }
    // Only the newline is missing: nothing is lost.
    assert!(parse(&whole[..whole.len() - 1]).unwrap().is_complete());
    assert!(!parse("").unwrap().is_complete());
}

#[test]
fn garbage_is_an_error_with_its_line() {
    let whole = line("num_errors", "0", false);
    for garbage in ["hello\n", ":::MLLOG {}\n", ":::MLLOG {\"key\": 3\n", "\n"] {
        let error = parse(&format!("{whole}{garbage}{whole}"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("detail.txt, line 2"), "{error}");
    }
    let bytes = [whole.as_bytes(), b":::MLLOG \xff\n"].concat();
    assert!(
        DetailLog::parse(&bytes[..], Path::new("d"))
            .unwrap_err()
            .to_string()
            .contains("UTF-8")
    );
}

/// A few megabytes of these would take gigabytes of memory.
#[test]
fn a_line_of_many_lists_and_objects_is_an_error() {
    let of = |parts: usize| parse(&line("x", &format!("[{}0]", "{},".repeat(parts)), false));
    of(900).unwrap();
    let error = of(1001).unwrap_err().to_string();
    assert!(error.contains("which no LoadGen line has"), "{error}");
}

#[test]
fn an_accuracy_run_is_complete_when_every_set_has_ended() {
    let start = [
        line("qsl_reported_total_count", "5", false),
        line("effective_test_mode", "\"AccuracyOnly\"", false),
        line("effective_accuracy_sample_count", "9", false),
    ]
    .concat();
    let set = |list: &str| line("loaded_qsl_set", list, false) + &line("power_end", "\"t\"", false);
    let (first, second) = (set("[4,1,2]"), set("[0,3]"));
    assert!(
        parse(&format!("{start}{first}{second}"))
            .unwrap()
            .is_complete()
    );
    assert!(!parse(&format!("{start}{first}")).unwrap().is_complete());
    let open = line("loaded_qsl_set", "[0,3]", false);
    assert!(
        !parse(&format!("{start}{first}{open}"))
            .unwrap()
            .is_complete()
    );
}

/// What `tests/fixtures` holds is a Server run of LoadGen 6.0.17 with its sample lists cut short.
const REAL: &str = include_str!("../../tests/fixtures/server_detail.txt");

#[test]
fn a_real_log_survives_being_written_again() {
    let log = parse(REAL).unwrap();
    assert_eq!(log.entries.len(), REAL.lines().count());
    assert!(log.is_complete() && log.error_count == 0);
    let again: String = (log.entries.iter())
        .map(|e| {
            let line = serde_json::json!({
                "key": e.key, "value": e.value, "time_ms": e.time_ms,
                "metadata": {"is_error": e.is_error, "is_warning": e.is_warning, "file": e.file, "line_no": e.line, "pid": e.pid},
            });
            format!(":::MLLOG {line}\n")
        })
        .collect();
    assert_eq!(parse(&again).unwrap().entries, log.entries);
}

proptest::proptest! {
    #[test]
    fn any_bytes_give_a_log_or_an_error(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..2000)) {
        let _ = DetailLog::parse(&bytes[..], Path::new("d"));
    }

    #[test]
    fn a_damaged_log_gives_a_log_or_an_error(at in 0..REAL.len(), byte in proptest::num::u8::ANY, end in 0..REAL.len()) {
        let mut bytes = REAL.as_bytes().to_vec();
        bytes[at] = byte;
        bytes.truncate(end.max(at + 1));
        let _ = DetailLog::parse(&bytes[..], Path::new("d"));
        crate::summary::Summary::parse(&String::from_utf8_lossy(&bytes));
    }
}
