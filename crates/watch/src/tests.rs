//! Views of runs in every state, as they are seen.

use std::path::Path;
use std::time::Duration;

use ossmark_record::{Counters, End, Gpu, News, Row, Second, Server, Settings, State, begin};
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::{Value, json};

use crate::{Tone, View, Watched, draw, text, view};

mod hostile;

fn plan() -> Value {
    json!({
        "scenario": "server", "mode": "performance", "engine": "cuda", "dataset": {"rows": 6396},
        "requested_settings": {"ttft_latency_ns": 3_000_000_000u64, "tpot_latency_ns": 80_000_000, "target_qps": 10.66,
                               "min_duration_ms": 600_000, "min_query_count": 6396}
    })
}

/// A sample that was issued at so many tenths of a second; 100 tokens.
fn row(request: u64, ttft_ms: i64, tpot_ms: i64) -> Row {
    let issued = request as i64 * 100_000_000;
    let first = issued + ttft_ms * 1_000_000;
    Row {
        request,
        sample_index: request as u32,
        prompt_tokens: 500,
        output_tokens: 101,
        scheduled_ns: None,
        issued_ns: Some(issued),
        first_token_ns: Some(first),
        completed_ns: Some(first + tpot_ms * 100_000_000),
        end: End::Stop,
        engine: 0,
    }
}

fn second(t: u32) -> Second {
    let tokens = |t: u32| u64::from(t) * 1000 + u64::from(t % 7) * 100;
    Second {
        t_s: f64::from(t),
        issued: Some(u64::from(t) * 10),
        completed: Some(u64::from(t.saturating_sub(4)) * 10),
        open: Some(40),
        output_tokens: Some(tokens(t)),
        running: Some(38),
        waiting: Some(2),
        kv_blocks_used: Some(31_000),
        kv_blocks: Some(40_000),
        steps: Some(u64::from(t) * 40),
        step_ms_mean: Some(24.25),
        step_rows_mean: Some(38.5),
        cpu_percent: Some(180.4),
        rss_mib: Some(1200.2),
        power_w: Some(4450.4),
        ..Second::default()
    }
}

fn watched(plan: Value) -> Watched {
    let tmp = tempfile::tempdir().unwrap();
    std::fs::write(tmp.path().join("run_plan.json"), plan.to_string()).unwrap();
    let mut watched = Watched::new(tmp.path());
    watched.look();
    watched.dir = "out/server".into();
    watched
}

/// After so many seconds, of which every so many'th sample was over its limit.
fn going_on(seconds: u32, over_every: u64) -> Watched {
    let mut watched = watched(plan());
    let rows = (0..u64::from(seconds) * 10 - 40).map(|i| match i % over_every {
        0 => row(i, 3100, 40),
        _ => row(i, 400 + (i % 100) as i64, 40),
    });
    watched.take(News {
        rows: rows.collect(),
        seconds: (0..=seconds).map(second).collect(),
        state: Some(State::GoingOn),
        ..News::default()
    });
    watched
}

fn verdict(watched: &mut Watched, verdict: Value) {
    watched.verdict = serde_json::from_value(verdict).unwrap();
}

fn screen(view: &View, columns: u16, rows: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| draw(view, frame)).unwrap();
    terminal.backend().to_string()
}

#[test]
fn a_run_that_goes_on_is_seen_on_any_terminal() {
    let shown = view(&going_on(300, 250), Some(Duration::ZERO));
    insta::assert_snapshot!("going_on_100", screen(&shown, 100, 24));
    insta::assert_snapshot!("going_on_40", screen(&shown, 40, 40));
    insta::assert_snapshot!("going_on_40_low", screen(&shown, 40, 8));
    insta::assert_snapshot!("going_on_text", text(&shown, 80));
    // No size is too small for it.
    for (columns, rows) in [(1, 1), (1, 50), (200, 1), (11, 3), (500, 200)] {
        screen(&shown, columns, rows);
    }
}

#[test]
fn the_margin_is_that_of_the_samples_that_there_will_be() {
    let of = |over_every| {
        let view = view(&going_on(300, over_every), None);
        let at = view
            .lines
            .iter()
            .position(|line| line.label == "TTFT")
            .unwrap();
        (view.lines[at + 1].text.clone(), view.lines[at + 1].tone)
    };
    // 2960 samples: those at 0, 250, ... are over. Of 6396 early stopping allows 45.
    assert_eq!(
        of(250),
        (
            "12 over the limit, 33 more may be, of the 6,396 that there will be".into(),
            Tone::Good
        )
    );
    assert_eq!(
        of(70),
        (
            "43 over the limit, 2 more may be, of the 6,396 that there will be".into(),
            Tone::Warn
        )
    );
    assert_eq!(
        of(66),
        (
            "45 over the limit, 0 more may be, of the 6,396 that there will be".into(),
            Tone::Warn
        )
    );
    // A tenth of 45 is where it begins to be close.
    assert_eq!((of(75).1, of(73).1), (Tone::Good, Tone::Warn));
    let (text, tone) = of(64);
    assert_eq!(tone, Tone::Bad);
    // 47 need 6,552 samples (46 need 6,431).
    assert!(
        text.starts_with("47 over the limit, 45 may be, of the 6,396"),
        "{text}"
    );
    // Once it is over nothing more will come: of the samples that there are.
    let mut ended = going_on(300, 250);
    ended.state = Some(State::Ended);
    let view = view(&ended, None);
    let margin = view
        .lines
        .iter()
        .find(|line| line.text.contains("over the limit"))
        .unwrap();
    assert_eq!(margin.text, "12 over the limit, 5 more may be, of 2,960");
}

/// Server's arrivals are random: more samples may come than the plan says.
#[test]
fn more_samples_than_planned_are_all_counted() {
    let mut more = going_on(300, 250);
    more.expected = Some(2000);
    let lines = view(&more, None).lines;
    let margin = lines
        .iter()
        .find(|line| line.text.contains("over the limit"))
        .unwrap();
    assert_eq!(margin.text, "12 over the limit, 5 more may be, of 2,960");
}

#[test]
fn too_few_samples_allow_none_over() {
    let mut few = going_on(20, 1000);
    few.state = Some(State::Ended);
    let lines = view(&few, None).lines;
    let margin = lines
        .iter()
        .find(|line| line.text.contains("over the limit"))
        .unwrap();
    assert_eq!(
        (margin.text.as_str(), margin.tone),
        (
            "1 over the limit, none may be, of 160: 662 samples would be needed",
            Tone::Bad
        )
    );
}

#[test]
fn time_that_is_left_is_of_the_last_minute() {
    let progress = view(&going_on(300, 250), None).progress.unwrap();
    assert_eq!((progress.done, progress.of), (2960, Some(6396)));
    // 3436 samples at ten a second.
    assert_eq!(progress.left, Some(Duration::from_secs(344)));
    assert!((progress.share().unwrap() - 2960.0 / 6396.0).abs() < 1e-12);
    // More than was expected: nothing is said of the rest.
    let mut more = going_on(300, 250);
    more.expected = Some(2960);
    assert_eq!(view(&more, None).progress.unwrap().left, None);
}

#[test]
fn the_end_of_a_run_is_said() {
    let state = |watched: &Watched, quiet| {
        let line = view(watched, quiet).state;
        (line.text, line.tone)
    };
    let mut run = going_on(300, 250);
    assert_eq!(
        state(&run, None),
        ("goes on since 5 min 00 s".into(), Tone::Plain)
    );
    assert_eq!(state(&run, Some(Duration::from_secs(4))).1, Tone::Plain);
    assert_eq!(
        state(&run, Some(Duration::from_secs(75))),
        (
            "goes on, and has said nothing for 1 min 15 s after 5 min 00 s".into(),
            Tone::Warn
        )
    );
    run.state = Some(State::Cut);
    assert_eq!(
        state(&run, None),
        (
            "was cut after 5 min 00 s: its record was not closed, and up to a second of it is missing".into(),
            Tone::Bad
        )
    );
    run.state = Some(State::Ended);
    assert!(state(&run, None).0.contains("there is no verdict yet"));
    verdict(
        &mut run,
        json!({"verdict": "valid", "settings": "official"}),
    );
    assert_eq!(
        state(&run, None),
        ("ended: valid (official settings)".into(), Tone::Good)
    );
    verdict(
        &mut run,
        json!({"verdict": "invalid", "settings": "test", "reasons": ["the engine failed", "and more"]}),
    );
    let expected = "ended: invalid (a test: not the round's settings): the engine failed";
    assert_eq!(state(&run, None), (expected.into(), Tone::Bad));
    verdict(&mut run, json!({}));
    assert_eq!(state(&run, None).1, Tone::Warn);
    // What is over has no progress.
    assert_eq!(view(&run, None).progress, None);
}

#[test]
fn faults_are_shown_as_they_come() {
    let mut run = going_on(300, 250);
    assert_eq!(view(&run, None).faults, []);
    let ends = [(End::Failed, 7), (End::Cancelled, 3), (End::Stop, 2)];
    let mut rows = Vec::new();
    for (end, many) in ends {
        let bad = Row {
            end,
            completed_ns: None,
            first_token_ns: None,
            ..row(9, 1, 1)
        };
        let short = Row {
            output_tokens: 1,
            ..row(9, 1, 1)
        };
        rows.extend(std::iter::repeat_n(
            if end == End::Stop { short } else { bad },
            many,
        ));
    }
    let now = Second {
        servers: Some(vec![
            Server {
                server: "a:1".into(),
                open: Some(3),
                retries: Some(2),
                timeouts: Some(1),
            },
            Server {
                server: "b:1".into(),
                open: Some(4),
                retries: Some(0),
                timeouts: None,
            },
        ]),
        gpus: Some(vec![Gpu {
            temperature_c: Some(83.0),
            throttle_reasons: Some(vec!["SW_THERMAL_SLOWDOWN".into()]),
            ..Gpu::default()
        }]),
        preemptions: Some(12),
        ..second(301)
    };
    run.take(News {
        rows,
        seconds: vec![now],
        state: Some(State::GoingOn),
        lost: 5,
        reason: Some("samples.journal: no space".into()),
        ..News::default()
    });
    verdict(
        &mut run,
        json!({"faults": [{"kind": "engine", "message": "out of memory", "count": 3}]}),
    );
    let shown = view(&run, None);
    insta::assert_snapshot!("faults", text(&shown, 80));
}

#[test]
fn long_lists_are_cut() {
    let mut run = going_on(300, 250);
    let fault = json!({"kind": "engine", "message": "x", "count": 1});
    verdict(&mut run, json!({"faults": vec![fault; 1000]}));
    assert_eq!(view(&run, None).faults.len(), 8);
}

/// What a row of each end, a lock, and a kill look like from outside.
#[test]
fn a_record_is_followed_from_its_begin_to_its_end() {
    let tmp = tempfile::tempdir().unwrap();
    let mut watched = Watched::new(tmp.path());
    assert!(!watched.look() && !watched.is_run());
    assert_eq!(
        view(&watched, None).state.text,
        "nothing of a run is there yet"
    );
    std::fs::write(tmp.path().join("run_plan.json"), plan().to_string()).unwrap();
    assert!(watched.look() && watched.is_run());
    assert!(
        view(&watched, None)
            .state
            .text
            .contains("there is no record")
    );
    let counters = || {
        Some(Counters {
            t: Duration::from_secs(1),
            ..Counters::default()
        })
    };
    let (recorder, writer) = begin(tmp.path(), Settings::default(), counters);
    (0..500).for_each(|i| recorder.row(row(i, 3001, 40)));
    // Not before the writer has written; it does so each half second.
    for _ in 0..600 {
        watched.look();
        if watched.so_far.rows == 500 && watched.pace.last().is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!((watched.so_far.rows, watched.so_far.ttft.over), (500, 500));
    assert_eq!(view(&watched, None).state.text, "goes on since 1 s");
    // One that is begun now knows the same.
    let mut other = Watched::new(tmp.path());
    other.look();
    assert_eq!(view(&other, None).lines, view(&watched, None).lines);
    assert_eq!(writer.finish(Duration::from_secs(300)).reason, None);
    std::fs::write(
        tmp.path().join("verdict.json"),
        r#"{"verdict": "valid", "settings": "official"}"#,
    )
    .unwrap();
    assert!(watched.look());
    let mut later = Watched::new(tmp.path());
    later.look();
    for ended in [&watched, &later] {
        assert_eq!(ended.so_far.rows, 500);
        assert_eq!(
            view(ended, None).state.text,
            "ended: valid (official settings)"
        );
        assert_eq!(ended.problems().count(), 0);
    }
    // Everything has been said.
    assert!(!watched.look());
}

#[test]
fn what_cannot_be_read_is_said() {
    let tmp = tempfile::tempdir().unwrap();
    std::fs::write(tmp.path().join("samples.parquet"), "no parquet").unwrap();
    std::fs::write(tmp.path().join("verdict.json"), "{").unwrap();
    let mut watched = Watched::new(tmp.path());
    watched.look();
    let said: Vec<_> = watched.problems().cloned().collect();
    assert!(
        said.len() == 2 && said[0].contains("verdict.json") && said[1].contains("samples.parquet"),
        "{said:?}"
    );
    assert_eq!(view(&watched, None).faults.len(), 2);
    // It is not tried again and again.
    assert!(!watched.look() || watched.problems().count() == 2);
}
