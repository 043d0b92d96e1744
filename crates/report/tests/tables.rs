//! What stands in a page's tables beside the figures with a name: each cell counted once more from the rows.

mod made;

use made::{any_row, html, naive, tables, with_rows};
use ossmark_record::{End, Row};
use proptest::prelude::*;

/// The most windows of a plot over time.
const WINDOWS: f64 = 120.0;

/// The number of a cell; `None` for a dash.
fn number(cell: &str) -> Option<f64> {
    (cell != "–").then(|| cell.replace(',', "").parse().unwrap())
}

/// Whether a cell is the value, rounded as numbers are for people.
fn is(cell: &str, value: Option<f64>) -> bool {
    match (number(cell), value) {
        (Some(read), Some(value)) => (read - value).abs() <= 0.0051 * value.abs().max(0.02),
        (None, None) => true,
        _ => false,
    }
}

/// "120 to 1,279" as bounds.
fn range(cell: &str) -> (u64, u64) {
    let (from, to) = cell.split_once(" to ").unwrap();
    (number(from).unwrap() as u64, number(to).unwrap() as u64)
}

fn ttft(row: &Row) -> Option<i64> {
    Some(row.first_token_ns? - row.scheduled_ns.or(row.issued_ns).unwrap())
}

fn tpot(row: &Row) -> Option<i64> {
    let tokens = i64::from(row.output_tokens);
    let decode = row.completed_ns? - row.first_token_ns?;
    Some(decode / if tokens < 2 { -1 } else { tokens - 1 })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn lengths_prompts_and_the_slowest_are_those_of_the_rows(mut rows in proptest::collection::vec(any_row(), 1..500)) {
        rows.iter_mut().zip(0..).for_each(|(row, request)| row.request = request);
        let html = html(vec![with_rows(rows.clone())]);
        let done: Vec<&Row> = rows.iter().filter(|row| row.completed_ns.is_some()).collect();

        let lengths = tables(&html, "Answers by length");
        let mut counted = 0;
        for line in &lengths {
            let (from, to) = range(&line[0]);
            let samples = done.iter().filter(|row| (from..=to).contains(&u64::from(row.output_tokens))).count();
            prop_assert!(is(&line[1], Some(samples as f64)), "{line:?}: {samples}");
            counted += samples;
        }
        prop_assert_eq!(counted, done.len());
        if let Some((_, mean)) = html.split_once("Answers by tokens; their mean, ") {
            let mean = mean.split_once(", is the line").unwrap().0;
            let tokens: u64 = done.iter().map(|row| u64::from(row.output_tokens)).sum();
            prop_assert!(is(mean, Some(tokens as f64 / done.len() as f64)), "{mean}");
        }
        let cut = done.iter().filter(|row| row.end == End::Length).count();
        let sentence = format!("{cut} of {} answers ended at the most tokens", done.len());
        prop_assert_eq!(html.contains(&sentence), cut > 0, "{}", sentence);

        let begun: Vec<&Row> = rows.iter().filter(|row| row.first_token_ns.is_some()).collect();
        let mut counted = 0;
        for line in tables(&html, "TTFT by length of prompt") {
            let (from, to) = range(&line[0]);
            let of: Vec<i64> = begun
                .iter()
                .filter(|row| (from..=to).contains(&u64::from(row.prompt_tokens)))
                .filter_map(|row| ttft(row))
                .collect();
            counted += of.len();
            prop_assert!(is(&line[1], Some(of.len() as f64)), "{line:?}");
            prop_assert!(is(&line[2], naive(of.iter().copied(), 0.5)), "{line:?}");
            prop_assert!(is(&line[3], naive(of, 0.99)), "{line:?}");
        }
        prop_assert_eq!(counted, begun.len());

        for line in tables(&html, "The slowest samples") {
            let row = &rows[number(&line[0]).unwrap() as usize];
            let ms = |ns: Option<i64>| ns.map(|ns| ns as f64 / 1e6);
            prop_assert_eq!(&line[1], &row.sample_index.to_string());
            prop_assert!(is(&line[2], Some(row.prompt_tokens.into())), "{line:?}");
            prop_assert!(is(&line[3], Some(row.output_tokens.into())), "{line:?}");
            // Two decimals.
            prop_assert!((number(&line[4]).unwrap() - row.issued_ns.unwrap() as f64 / 1e9).abs() < 0.0051, "{line:?}");
            prop_assert!(is(&line[5], ms(ttft(row))) && is(&line[6], ms(tpot(row))), "{line:?}");
            prop_assert_eq!((line[8].as_str(), line[9].as_str()), (row.end.name(), &*row.engine.to_string()));
        }
    }

    #[test]
    fn windows_are_those_of_the_rows(mut rows in proptest::collection::vec(any_row(), 1..300)) {
        rows.iter_mut().zip(0..).for_each(|(row, request)| row.request = request);
        let html = html(vec![with_rows(rows.clone())]);
        let seconds = |ns: i64| ns as f64 / 1e9;
        let times = rows.iter().flat_map(|row| [row.issued_ns, row.first_token_ns, row.completed_ns]);
        let duration = seconds(times.flatten().max().unwrap());
        let width = (duration / WINDOWS).max(1.0);
        let count = (duration / width).ceil().min(WINDOWS) as usize;
        // The end of the run belongs to the last window.
        let window = |ns: i64| ((seconds(ns) / width) as usize).min(count - 1);

        let rates = tables(&html, "Output tokens/s");
        let open = tables(&html, "Samples open");
        prop_assert_eq!(open.len(), count);
        for (at, line) in open.iter().enumerate() {
            let (from, to) = (at as f64 * width, (at + 1) as f64 * width);
            let (mut tokens, mut under_way) = (0.0, 0);
            let mut completed = Vec::new();
            for row in &rows {
                under_way += i64::from(window(row.issued_ns.unwrap()) <= at);
                let Some(end) = row.completed_ns else { continue };
                under_way -= i64::from(window(end) <= at);
                if window(end) == at {
                    completed.push(row);
                }
                let begin = seconds(row.first_token_ns.unwrap_or(end));
                let length = seconds(end) - begin;
                tokens += f64::from(row.output_tokens) * if length > 0.0 {
                    (seconds(end).min(to) - begin.max(from)).max(0.0) / length
                } else {
                    f64::from(u8::from(window(end) == at))
                };
            }
            prop_assert!((number(&line[0]).unwrap() - from).abs() < 0.051, "{line:?}");
            prop_assert!(is(&line[1], Some(under_way as f64)), "{line:?}: {under_way}");
            if let Some(line) = rates.get(at) {
                prop_assert!(is(&line[1], Some(tokens / width)), "{line:?}: {}", tokens / width);
            }
            for (caption, of) in [("TTFT in ms", ttft as fn(&Row) -> Option<i64>), ("TPOT in ms", tpot)] {
                let Some(line) = tables(&html, caption).get(at).cloned() else { continue };
                let values: Vec<i64> = completed.iter().filter_map(|row| of(row)).collect();
                prop_assert!(is(&line[1], naive(values.iter().copied(), 0.5)), "{caption} {line:?}");
                prop_assert!(is(&line[2], naive(values, 0.99)), "{caption} {line:?}");
            }
        }
        prop_assert!(!rates.is_empty());
    }
}
