//! The page says what the rows say, whatever they are, and runs nothing.
#![allow(clippy::disallowed_methods, reason = "tests open what they made")]

mod made;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use made::{any_row, html, naive, server, tables, with_rows};
use ossmark_record::Row;
use ossmark_report::{Completeness, Hashed, Run};
use proptest::prelude::*;
use regex::Regex;
use serde_json::json;

/// Every figure of a page by its name: all its digits, and the text.
fn figures(html: &str) -> BTreeMap<String, (f64, String)> {
    let figure = Regex::new(r#"<data data-name="([^"]*)" value="([^"]*)">([^<]*)</data>"#).unwrap();
    let found: Vec<_> = figure
        .captures_iter(html)
        .map(|c| (c[1].to_owned(), (c[2].parse().unwrap(), c[3].to_owned())))
        .collect();
    let count = found.len();
    let by_name: BTreeMap<_, _> = found.into_iter().collect();
    assert_eq!(by_name.len(), count, "two figures have one name");
    by_name
}

/// Points that a browser would draw, plot by plot, beside those that the page says.
fn points(html: &str) -> Vec<(usize, usize)> {
    let plots = html.split("<figure data-points=\"").skip(1);
    plots
        .map(|plot| {
            let said = plot.split('"').next().unwrap().parse().unwrap();
            let svg = plot
                .split("<svg")
                .nth(1)
                .unwrap()
                .split("</svg>")
                .next()
                .unwrap();
            let data = |tag: &&str| tag.contains("#000003") || tag.contains("#000004");
            let drawn = svg
                .split('<')
                .filter(data)
                .map(|tag| match tag.split_once("points=\"") {
                    Some((_, points)) => points
                        .split('"')
                        .next()
                        .unwrap()
                        .split_ascii_whitespace()
                        .count(),
                    None => 1,
                });
            (said, drawn.sum())
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_figure_is_that_of_the_rows(mut rows in proptest::collection::vec(any_row(), 0..700)) {
        rows.iter_mut().zip(0..).for_each(|(row, request)| row.request = request);
        let html = html(vec![with_rows(rows.clone())]);
        let figures = figures(&html);
        let value = |name: &str| figures.get(&format!("A.{name}")).map(|(value, _)| *value);

        let done: Vec<&Row> = rows.iter().filter(|row| row.completed_ns.is_some()).collect();
        let tokens: u64 = done.iter().map(|row| u64::from(row.output_tokens)).sum();
        prop_assert_eq!(value("samples"), Some(done.len() as f64));
        prop_assert_eq!(value("output_tokens"), Some(tokens as f64));
        let begun = |row: &Row| row.scheduled_ns.or(row.issued_ns).unwrap();
        let ttft: Vec<i64> = rows.iter().filter_map(|row| Some(row.first_token_ns? - begun(row))).collect();
        let decode = |row: &Row| Some(row.completed_ns? - row.first_token_ns?);
        let tpot: Vec<i64> = rows
            .iter()
            .filter_map(|row| Some(decode(row)? / (if row.output_tokens < 2 { -1 } else { i64::from(row.output_tokens) - 1 })))
            .collect();
        let latency: Vec<i64> = rows.iter().filter_map(|row| Some(row.completed_ns? - begun(row))).collect();
        for (name, values, limit) in [("ttft", &ttft, 3_000_000_000), ("tpot", &tpot, 80_000_000)] {
            let over = values.iter().filter(|ns| **ns > limit).count();
            prop_assert_eq!(value(&format!("{name}.p99_ms")), naive(values.iter().copied(), 0.99));
            prop_assert_eq!(value(&format!("{name}.limit_ms")), Some(limit as f64 / 1e6));
            prop_assert_eq!(value(&format!("{name}.over")), (!values.is_empty()).then_some(over as f64));
        }
        for (name, values) in [("ttft", &ttft), ("tpot", &tpot), ("latency", &latency)] {
            for (label, p) in [("p10", 0.1), ("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)] {
                prop_assert_eq!(value(&format!("{name}.all.{label}_ms")), naive(values.iter().copied(), p), "{} {}", name, label);
            }
        }
        let mut slow = latency.clone();
        slow.sort_by(|a, b| b.cmp(a));
        for (i, ns) in slow.iter().take(20).enumerate() {
            prop_assert_eq!(value(&format!("slowest.{i}.latency_ms")), Some(*ns as f64 / 1e6));
        }
        prop_assert_eq!(value("slowest.20.latency_ms"), None);
        // The text is the value, rounded.
        for (name, (value, text)) in &figures {
            let number: String = text.chars().filter(|c| c.is_ascii_digit() || "-.".contains(*c)).collect();
            let read: f64 = number.trim_end_matches('.').parse().unwrap();
            prop_assert!((read - value).abs() <= 0.0051 * value.abs().max(0.02), "{}: {} is {}", name, value, text);
        }
        for (said, drawn) in points(&html) {
            prop_assert_eq!(said, drawn);
        }
    }
}

const HOSTILE: &str = "</style></svg></script><script>alert(1)</script><img src=http://127.0.0.1/ onerror=alert(1)>\"'&\u{202e}\u{7}\u{1b}[2J";

fn hostile() -> Run {
    let mut run = server(1, 300, 1.0);
    let text = || HOSTILE.to_owned();
    run.dir = HOSTILE.into();
    run.problems = vec![text()];
    run.record = Completeness::Incomplete(vec![text()]);
    run.plan = json!({"engine": HOSTILE, (HOSTILE): {(HOSTILE): [HOSTILE]},
                      "speculation": {"head": HOSTILE, "tensors_sha256": HOSTILE, "steps": HOSTILE}});
    run.power = json!({"source": HOSTILE, "sources": [{"name": HOSTILE}], "left_out": [{"name": HOSTILE, "reasons": [HOSTILE]}]});
    run.score = json!({"findings": [HOSTILE], "summary": {"per_dataset": {(HOSTILE): {"correct": HOSTILE}}}});
    run.files = vec![Hashed {
        name: text(),
        stated: text(),
        found: Err(text()),
    }];
    let log = run.log.as_mut().unwrap();
    log.errors = vec![text()];
    (log.date, log.sut) = (Some(text()), Some(text()));
    log.effective = json!({(HOSTILE): HOSTILE, "scenario": HOSTILE})
        .as_object()
        .unwrap()
        .clone();
    run.verdict = serde_json::from_value(json!({
        "verdict": HOSTILE, "settings": HOSTILE, "scenario": HOSTILE, "mode": HOSTILE, "reasons": [HOSTILE, HOSTILE],
        "deviations": [HOSTILE], "faults": [{"kind": HOSTILE, "message": HOSTILE, "count": 2}], "loadgen": {"result": HOSTILE},
        "metrics": {"speculation": {"acceptance_length": HOSTILE, "drafted_by_position": [HOSTILE, 1], "accepted_by_position": HOSTILE}}
    }))
    .unwrap();
    run
}

#[test]
fn nothing_from_outside_is_markup() {
    let page = html(vec![hostile(), hostile()]);
    // The tags of the page, whatever the runs say: those of an innocent one.
    let tags = |page: &str| -> std::collections::BTreeSet<String> {
        Regex::new(r"<([a-zA-Z!/][a-zA-Z0-9]*)")
            .unwrap()
            .captures_iter(page)
            .map(|c| c[1].to_owned())
            .collect()
    };
    let known = tags(&html(vec![server(1, 300, 1.0)]));
    for tag in tags(&page) {
        assert!(
            known.contains(&tag)
                || [
                    "article", "h4", "ul", "li", "h3", "/h4", "/ul", "/li", "/h3"
                ]
                .contains(&&*tag),
            "<{tag}"
        );
    }
    assert!(!page.contains("onerror=alert(1)>") && page.contains("onerror=alert(1)&#62;"));
    assert!(!page.contains(['\u{202e}', '\u{7}', '\u{1b}']));
    // No attribute is left early: between quotes there is no quote of theirs.
    assert!(!page.contains("\"'&"));
}

/// The head, what of its drafts stood at which place, and nothing of it where a run did not draft.
#[test]
fn speculation_is_shown_where_a_run_drafted() {
    let plain = html(vec![server(1, 300, 1.0)]);
    assert!(!plain.contains("Acceptance length") && !plain.contains("Speculation"));
    let mut run = server(1, 300, 1.0);
    run.plan = json!({"speculation": {"head": "heads/one", "tensors_sha256": "0123456789abcdef", "steps": 3, "revision": null}});
    let metrics = json!({"speculation": {
        "rounds": 200, "acceptance_length": 2.5, "steps_saved": 300,
        "drafted_by_position": [200, 200, 190], "accepted_by_position": [150, 100, 50],
    }});
    run.verdict.as_mut().unwrap().metrics = metrics.as_object().unwrap().clone();
    let page = html(vec![run]);
    for (name, value) in [("acceptance_length", 2.5), ("steps_saved", 300.0)] {
        let all = figures(&page);
        let found = all.iter().find(|(n, _)| n.ends_with(name));
        assert_eq!(found.map(|(_, (value, _))| *value), Some(value), "{name}");
    }
    for said in [
        "heads/one",
        "0123456789ab",
        "3 tokens at a time",
        "75",
        "50",
        "26.3",
    ] {
        assert!(page.contains(said), "{said}");
    }
}

/// Each power source's figures under their own heads; sources that are not there are no news.
#[test]
fn power_is_shown_by_source() {
    let mut run = server(1, 300, 1.0);
    run.power = json!({
        "source": "NVML", "energy_j": 700.5,
        "sources": [{"name": "NVML", "kind": "device", "energy_j": 700.5, "mean_w": 400.25, "max_w": 612.5, "readings": 31}],
        "left_out": [{"name": "RAPL", "absent": true, "reasons": ["nobody misses it"]},
                     {"name": "meter", "absent": false, "reasons": ["it hung"]}],
    });
    let page = html(vec![run]);
    let table = tables(
        &page,
        "Energy over LoadGen's window, by source; used is NVML",
    );
    assert_eq!(
        table,
        [["NVML", "device", "700.50", "400.25", "612.50", "31"]]
    );
    assert!(page.contains("meter: it hung") && !page.contains("nobody misses it"));
}

/// The submitter's words for the head are shown where there are some.
#[test]
fn a_head_is_shown_by_its_stated_release() {
    let mut run = server(1, 300, 1.0);
    run.plan = json!({"speculation": {"head": "heads/one", "tensors_sha256": "0123456789abcdef", "steps": 3, "revision": "release 7"}});
    let metrics = json!({"speculation": {"drafted_by_position": [2], "accepted_by_position": [1]}});
    run.verdict.as_mut().unwrap().metrics = metrics.as_object().unwrap().clone();
    let page = html(vec![run]);
    assert!(page.contains("release 7 (tensors") && !page.contains("heads/one (tensors"));
}

#[test]
fn a_page_asks_for_nothing_and_its_style_is_the_one_that_it_allows() {
    let page = html(vec![server(1, 200, 1.0), hostile()]);
    let policy = page
        .split("Content-Security-Policy\" content=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-"),
        "{policy}"
    );
    let style = page
        .split("<style>")
        .nth(1)
        .unwrap()
        .split("</style>")
        .next()
        .unwrap();
    use base64::Engine;
    use sha2::Digest;
    let hash = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(style));
    assert!(policy.contains(&format!("'sha256-{hash}'")), "{policy}");
    for address in [
        "<script",
        "<link",
        "<iframe",
        "<img",
        "<object",
        " style=\"",
        "url(",
        "@import",
        " href=",
        " src=\"",
    ] {
        assert!(!page.contains(address), "{address}");
    }
}

#[test]
fn no_sample_one_sample_and_nothing_at_all_have_pages() {
    let one = server(1, 1, 1.0);
    let two_at_once = with_rows(vec![
        Row {
            completed_ns: Some(i64::MAX),
            first_token_ns: Some(i64::MIN),
            ..one.rows[0]
        };
        2
    ]);
    for run in [Run::default(), with_rows(Vec::new()), one, two_at_once] {
        let page = html(vec![run.clone(), run]);
        assert!(
            page.ends_with("</html>\n") || page.ends_with("</html>"),
            "{}",
            &page[page.len() - 40..]
        );
        assert!(points(&page).iter().all(|(said, drawn)| said == drawn));
    }
}

#[test]
fn a_file_that_is_not_the_verdicts_is_said_before_everything_else() {
    let mut run = server(1, 200, 1.0);
    run.files = vec![Hashed {
        name: "mlperf_log_detail.txt".into(),
        stated: "aa".into(),
        found: Ok("bb".into()),
    }];
    let page = html(vec![run]);
    let said = page
        .find("mlperf_log_detail.txt is not the file that the verdict was given on")
        .unwrap();
    assert!(said < page.find("<h2>Figures</h2>").unwrap());
}

#[test]
fn official_runs_make_small_pages_soon() {
    let runs = vec![server(1, 6396, 1.0)];
    let start = Instant::now();
    let page = html(runs);
    let took = start.elapsed();
    assert!(page.len() < 1_500_000, "{} bytes", page.len());
    // Milliseconds; the limit is for a machine that is busy with something else.
    assert!(took < Duration::from_secs(20), "{took:?}");
    // More samples do not make a larger page: what is drawn is bounded.
    let many = html(vec![server(2, 200_000, 1.0)]);
    assert!(many.len() < 1_500_000, "{} bytes", many.len());
}

/// A verdict may list anything; what is left out is counted.
#[test]
fn long_lists_are_cut_and_counted() {
    let mut run = server(1, 50, 1.0);
    let verdict = run.verdict.as_mut().unwrap();
    verdict.verdict = Some("invalid".into());
    verdict.reasons = (0..100_000).map(|n| format!("reason {n}.")).collect();
    let html = html(vec![run]);
    assert!(html.len() < 500_000, "{}", html.len());
    assert!(html.contains("reason 99.") && !html.contains("reason 100."));
    assert!(html.contains("and 99,900 more"));
}
