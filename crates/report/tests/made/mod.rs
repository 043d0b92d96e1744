//! Runs made up for tests.
#![allow(dead_code, reason = "each test file uses its own")]

use ossmark_record::{End, Row};
use ossmark_report::{Completeness, Log, Run, Verdict};
use rand_mt::Mt64;
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
