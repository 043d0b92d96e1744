//! Runs made up for tests.
#![allow(dead_code, reason = "each test file uses its own")]

use ossmark_record::{End, Row};
use ossmark_report::{Completeness, Figures, Log, Run, Verdict, page};
use proptest::prelude::*;
use rand_mt::Mt64;
use regex::Regex;
use serde_json::json;

pub(crate) struct Dice(Mt64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mt64::new(seed))
    }

    /// From 0 to 1, never 0.
    pub(crate) fn share(&mut self) -> f64 {
        ((self.0.next_u64() >> 11) as f64 + 1.0) / (1u64 << 53) as f64
    }

    /// Exponential with mean 1.
    pub(crate) fn wait(&mut self) -> f64 {
        -self.share().ln()
    }
}

/// A Server run of so many samples at 20 a second; `slower` multiplies every latency.
pub(crate) fn server(seed: u64, samples: u64, slower: f64) -> Run {
    let mut dice = Dice::new(seed);
    let mut at = 0.0;
    let ns = |s: f64| (s * 1e9) as i64;
    let rows = (0..samples)
        .map(|request| {
            at += dice.wait() / 20.0;
            let ttft = slower * (0.1 + 0.05 * dice.wait());
            let tokens = 20 + (60.0 * dice.wait()) as u32;
            let tpot = slower * (0.02 + 0.004 * dice.share());
            Row {
                request,
                sample_index: request as u32,
                prompt_tokens: 50 + (dice.share() * 900.0) as u32,
                output_tokens: tokens,
                scheduled_ns: Some(ns(at)),
                issued_ns: Some(ns(at) + 20_000),
                first_token_ns: Some(ns(at + ttft)),
                completed_ns: Some(ns(at + ttft + tpot * f64::from(tokens - 1))),
                end: End::Stop,
                engine: 0,
            }
        })
        .collect();
    with_rows(rows)
}

/// What a script says: each sample's arrival, TTFT, tokens and TPOT; every run of it has the same.
fn script(samples: u64) -> Vec<(f64, f64, u32, f64)> {
    let mut dice = Dice::new(77);
    let mut at = 0.0;
    let mut sample = |_| {
        at += dice.wait() / 20.0;
        let tokens = 20 + (60.0 * dice.wait()) as u32;
        (
            at,
            0.1 + 0.05 * dice.wait(),
            tokens,
            0.02 + 0.004 * dice.share(),
        )
    };
    (0..samples).map(&mut sample).collect()
}

/// A Server run of a script, as echo answers it: each token comes up to 0.2 ms late.
pub(crate) fn scripted(seed: u64, samples: u64, slower: f64) -> Run {
    let mut dice = Dice::new(seed);
    let late = |dice: &mut Dice| 0.0002 * dice.share();
    let of = |(request, (at, ttft, tokens, tpot)): (usize, (f64, f64, u32, f64))| {
        let ttft = slower * ttft + late(&mut dice);
        let decode = slower * tpot * f64::from(tokens - 1) + late(&mut dice);
        sample(request as u64, at, ttft, tokens, decode)
    };
    with_rows(script(samples).into_iter().enumerate().map(of).collect())
}

/// A Server run whose neighbours are alike: how busy it is changes slowly, over some ten samples.
pub(crate) fn busy(seed: u64, samples: u64, slower: f64) -> Run {
    let mut dice = Dice::new(seed);
    let (mut at, mut load) = (0.0, 0.0);
    let rows = (0..samples).map(|request| {
        at += dice.wait() / 20.0;
        // Twelve uniform ones are a normal one, nearly.
        let normal = (0..12).map(|_| dice.share()).sum::<f64>() - 6.0;
        load = 0.9 * load + (1.0f64 - 0.81).sqrt() * normal;
        let ttft = slower * 0.1 * (0.5 * load).exp();
        let tokens = 20 + (60.0 * dice.wait()) as u32;
        let tpot = slower * 0.02 * (0.1 * load + 0.1 * dice.share()).exp();
        sample(request, at, ttft, tokens, tpot * f64::from(tokens - 1))
    });
    with_rows(rows.collect())
}

/// An Offline run: all samples at once, so many answered at a time.
pub(crate) fn offline(seed: u64, samples: u64, slower: f64) -> Run {
    let mut dice = Dice::new(seed);
    let mut free = vec![0.0f64; 64];
    let rows = (0..samples).map(|request| {
        let slot = (0..free.len())
            .min_by(|a, b| free[*a].total_cmp(&free[*b]))
            .unwrap();
        let tokens = 200 + (1080.0 * dice.wait()) as u32;
        let tpot = slower * 0.002 * (1.0 + 0.2 * dice.share());
        free[slot] += slower * 0.05 + tpot * f64::from(tokens);
        Row {
            first_token_ns: None,
            ..sample(request, 0.0, free[slot], tokens, 0.0)
        }
    });
    let mut run = with_rows(rows.collect());
    run.verdict.as_mut().unwrap().scenario = Some("offline".into());
    run
}

fn sample(request: u64, at: f64, ttft: f64, tokens: u32, decode: f64) -> Row {
    let ns = |s: f64| (s * 1e9) as i64;
    Row {
        request,
        sample_index: request as u32,
        prompt_tokens: 100,
        output_tokens: tokens,
        scheduled_ns: Some(ns(at)),
        issued_ns: Some(ns(at) + 20_000),
        first_token_ns: Some(ns(at + ttft)),
        completed_ns: Some(ns(at + ttft + decode)),
        end: End::Stop,
        engine: 0,
    }
}

/// A valid Server run at the round's limits that has these rows.
pub(crate) fn with_rows(rows: Vec<Row>) -> Run {
    let verdict: Verdict = serde_json::from_value(json!({
        "verdict": "valid", "settings": "official", "scenario": "server", "mode": "performance",
        "loadgen": {"result": "VALID", "errors": 0, "warnings": 0}
    }))
    .unwrap();
    let settings =
        json!({"server_ttft_latency": 3_000_000_000u64, "server_tpot_latency": 80_000_000});
    Run {
        dir: "out/server".into(),
        verdict: Some(verdict),
        log: Some(Log {
            requested: settings.as_object().unwrap().clone(),
            complete: true,
            ..Log::default()
        }),
        rows,
        record: Completeness::Complete,
        ..Run::default()
    }
}

pub(crate) fn html(runs: Vec<Run>) -> String {
    let runs: Vec<(Run, Figures)> = runs
        .into_iter()
        .map(|run| {
            let figures = Figures::of(&run);
            (run, figures)
        })
        .collect();
    page(&runs)
}

/// What LoadGen takes for a percentile, written down once more.
pub(crate) fn naive(values: impl IntoIterator<Item = i64>, p: f64) -> Option<f64> {
    let mut values: Vec<i64> = values.into_iter().collect();
    values.sort_unstable();
    let place = (values.len() as f64 * p) as usize;
    Some(*values.get(place.min(values.len().wrapping_sub(1)))? as f64 / 1e6)
}

prop_compose! {
    pub(crate) fn any_row()(
        issued in 0i64..600_000_000_000, ttft in 1i64..5_000_000_000, decode in 0i64..90_000_000_000, tokens in 0u32..12_000,
        prompt in 0u32..3000, open in 0u8..12, engine in 0u16..9, index in 0u32..6396,
    ) -> Row {
        Row {
            request: 0,
            sample_index: index,
            prompt_tokens: prompt,
            output_tokens: tokens,
            scheduled_ns: (open != 3).then_some(issued),
            issued_ns: Some(issued + 50_000),
            first_token_ns: (open > 1).then_some(issued + ttft),
            completed_ns: (open > 0).then_some(issued + ttft + decode),
            end: match open {
                0 => End::Failed,
                10.. => End::Length,
                _ => End::Stop,
            },
            engine,
        }
    }
}

/// The lines of the table with this caption, as texts; none where there is no such table.
pub(crate) fn tables(html: &str, caption: &str) -> Vec<Vec<String>> {
    let all = Regex::new(r"(?s)<table><caption>([^<]*)</caption>.*?<tbody>(.*?)</tbody>").unwrap();
    let cell = Regex::new(r"(?s)<t[hd][^>]*>(.*?)</t[hd]>").unwrap();
    let tag = Regex::new(r"<[^>]*>").unwrap();
    let plain = |text: &str| text.replace("&#39;", "'").replace("&#x27;", "'");
    let Some(found) = all
        .captures_iter(html)
        .find(|c| plain(&c[1]).starts_with(caption))
    else {
        return Vec::new();
    };
    let lines = found[2].split("<tr>").skip(1);
    lines
        .map(|line| {
            let cells = cell.captures_iter(line);
            cells.map(|c| plain(&tag.replace_all(&c[1], ""))).collect()
        })
        .collect()
}
