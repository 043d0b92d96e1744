//! Whatever files say: nothing of it reaches the terminal raw, and nothing ends the view.

use super::*;

/// What files say must not reach a terminal, and no number may be too great.
#[test]
fn hostile_texts_and_numbers_are_harmless() {
    let text_of = "\u{1b}[2J\u{202e}\r\n\u{7}<b>";
    let mut hostile = plan();
    hostile["scenario"] = json!(text_of);
    hostile["engine"] = json!("W".repeat(10_000));
    let mut run = watched(hostile);
    run.dir = Path::new(text_of).into();
    let far = |t_s: f64| Second {
        t_s,
        issued: Some(u64::MAX),
        completed: Some(u64::MAX),
        output_tokens: Some(u64::MAX),
        kv_blocks: Some(0),
        kv_blocks_used: Some(u64::MAX),
        step_ms_mean: Some(f64::MAX),
        power_w: Some(-1e308),
        gpus: Some(vec![
            Gpu {
                throttle_reasons: Some(vec![text_of.into(); 100]),
                ..Gpu::default()
            };
            100
        ]),
        servers: Some(vec![
            Server {
                server: text_of.into(),
                open: Some(u64::MAX),
                retries: Some(1),
                timeouts: None
            };
            1000
        ]),
        ..Second::default()
    };
    run.take(News {
        rows: vec![Row {
            issued_ns: Some(i64::MIN),
            completed_ns: Some(i64::MAX),
            output_tokens: u32::MAX,
            ..row(0, 1, 1)
        }],
        seconds: vec![far(0.0), far(1e-300), far(1e300)],
        state: Some(State::GoingOn),
        lost: u64::MAX,
        reason: Some(text_of.into()),
        ..News::default()
    });
    run.expected = Some(1);
    verdict(
        &mut run,
        json!({"faults": [{"kind": text_of, "message": text_of.repeat(500), "count": u64::MAX}]}),
    );
    assert!(view(&run, None).what.chars().count() < 320);
    for state in [State::GoingOn, State::Ended, State::Cut] {
        run.state = Some(state);
        let shown = view(&run, Some(Duration::MAX));
        let text = text(&shown, 40);
        let loud = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!text.contains(loud), "{text:?}");
        assert!(
            shown.faults.len() <= 30 && text.len() < 100_000,
            "{}",
            text.len()
        );
        screen(&shown, 40, 60);
    }
}

proptest! {
    /// No line is wider than was asked for, and no word of it is lost.
    #[test]
    fn lines_are_as_wide_as_was_asked(words in proptest::collection::vec("[a-z漢é]{1,60}", 1..40), width in 20usize..120) {
        let mut run = going_on(30, 250);
        run.reason = Some(words.join(" "));
        let shown = view(&run, None);
        let text = text(&shown, width);
        for line in text.lines() {
            let wide = ratatui::text::Span::raw(line).width();
            prop_assert!(wide <= width, "{wide} columns: {line}");
        }
        let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        let reason = letters(&words.join(" "));
        let kept: String = reason.chars().take(150).collect();
        // Labels stand only in the first line of each.
        prop_assert!(letters(&text).contains(&kept), "{text}");
    }

    /// The percentiles and counts are those of the rows.
    #[test]
    fn figures_are_those_of_the_rows(ttfts in proptest::collection::vec(1i64..6_000, 1..800)) {
        let mut run = watched(plan());
        let rows: Vec<Row> = ttfts.iter().enumerate().map(|(i, ttft)| row(i as u64, *ttft, 40)).collect();
        for rows in rows.chunks(97) {
            run.take(News { rows: rows.to_vec(), state: Some(State::GoingOn), ..News::default() });
        }
        let mut sorted: Vec<i64> = rows.iter().filter_map(Row::ttft_ns).collect();
        sorted.sort_unstable();
        for p in [0.5, 0.99] {
            let exact = ossmark_record::percentile(&sorted, p).unwrap() as f64 / 1e6;
            let found = run.so_far.ttft.at_ms(p).unwrap();
            prop_assert!((found - exact).abs() <= exact * 0.001, "{p}: {found}, {exact}");
        }
        prop_assert_eq!(run.so_far.ttft.over, ossmark_record::over(sorted.iter().copied(), 3_000_000_000));
        prop_assert_eq!(run.so_far.completed, ttfts.len() as u64);
        prop_assert_eq!(run.so_far.tokens, 101 * ttfts.len() as u64);
    }
}
