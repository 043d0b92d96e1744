//! A run of the CPU engine, replayed: its own scheduler on a virtual clock, each step as long as it was. What the prediction
//! knows of this engine but for the model of its steps.

use std::time::Duration;

use ossmark_engine::executor::Capacity;
use ossmark_engine::{Clocked, EngineSettings, Progress, StepWork};
use ossmark_predict::{Limits, Measured, Model, Outcome, Step};
use ossmark_protocol::RequestId;
use ossmark_record::{Record, Row};
use serde_json::Value;

use crate::common::{ANY_SPEED, Bench, finish, read_json};

const LIMIT: Duration = Duration::from_secs(300);

const CONF: &str = "\
gpt-oss-120b.*.performance_sample_count_override = 64
gpt-oss-120b.Server.target_qps = 60
gpt-oss-120b.Server.min_duration = 1000
gpt-oss-120b.Server.min_query_count = 700
";

/// With blocks in plenty.
const CAPACITY: Capacity = Capacity {
    n_blocks: 1_000_000,
    block_size: 16,
    window: None,
    has_full: true,
    max_step_tokens: 512,
    max_seqs: 64,
    max_context: 1 << 17,
    vocab_size: 2,
    draft_tokens: 0,
};

/// The steps of a trace. Each lasts from the end of the one before, or from when something came to an engine that had nothing
/// to do, to when the engine had its tokens: what lies between two steps is in it.
fn steps(events: &[Value]) -> Vec<Measured> {
    let us = |event: &Value, name: &str| event[name].as_f64().unwrap();
    let of = |phase: &'static str| events.iter().filter(move |event| event["ph"] == phase);
    let came: Vec<f64> = of("b").map(|event| us(event, "ts")).collect();
    let mut before = 0.0;
    let mut steps = Vec::new();
    for event in of("X") {
        let number = |name: &str| event["args"][name].as_u64().unwrap();
        let step = Step {
            prefill_tokens: number("prefill"),
            decode_rows: number("rows") - number("prefill"),
            context: number("context"),
        };
        let begun = us(event, "ts");
        let end = begun + us(event, "dur");
        let next = came[came.partition_point(|came| *came <= before)..].first();
        let since = match next {
            // It decodes nothing, and what it computes came after the step before.
            Some(came) if step.decode_rows == 0 && *came < begun => *came,
            _ => before,
        };
        let seconds = (end - since) / 1e6;
        steps.push(Measured { step, seconds });
        before = end;
    }
    steps
}

/// How far from its place in the run a step is looked for.
const NEAR: usize = 16;

/// The step of a run that computed just these rows, near `place`; its place. A sample that came a moment before or after the
/// end of a step has moved it by one.
fn alike(steps: &[Measured], place: usize, work: Step) -> Option<usize> {
    let from = place.saturating_sub(NEAR);
    let until = (place + NEAR).min(steps.len());
    let distance = |at: &usize| at.abs_diff(place);
    (from..until)
        .filter(|at| steps[*at].step == work)
        .min_by_key(distance)
}

/// Each step takes as long as the one of the run that computed the same rows; where there is none near, as long as the one of
/// its place and so much more or less as its rows take by the model.
fn replay(rows: &[Row], steps: Vec<Measured>) -> Vec<Row> {
    let settings = EngineSettings {
        stop_tokens: Vec::new(),
        pipeline_depth: 1,
        max_batch: Some(4),
        max_chunk: None,
    };
    let model = Model::of_steps(&steps).unwrap();
    let mut place = 0;
    let takes = move |work: &StepWork| {
        let here = Step {
            prefill_tokens: work.prefill_tokens,
            decode_rows: work.decode_rows,
            context: work.context,
        };
        let found = alike(&steps, place, here);
        let at = found.unwrap_or(place).min(steps.len() - 1);
        place = at + 1;
        let Measured { step, seconds } = steps[at];
        let seconds = match found {
            Some(_) => seconds,
            None => seconds + model.seconds(&here) - model.seconds(&step),
        };
        (seconds.max(1e-6) * 1e9) as u64
    };
    let mut engine = Clocked::new(CAPACITY, settings, takes).unwrap();
    let mut replayed: Vec<Row> = rows.to_vec();
    for row in &mut replayed {
        row.first_token_ns = None;
        row.completed_ns = None;
    }
    let note = |rows: &mut [Row], progress: Progress| {
        let row = &mut rows[progress.id.0 as usize];
        let at_ns = Some(progress.at_ns as i64);
        row.first_token_ns = row.first_token_ns.or(at_ns);
        if progress.ended {
            row.completed_ns = at_ns;
        }
    };
    for (place, row) in rows.iter().enumerate() {
        // The engine has it from when it was issued.
        let at_ns = row.issued_ns.unwrap() as u64;
        engine
            .work(at_ns, |progress| note(&mut replayed, progress))
            .unwrap();
        let id = RequestId(place as u64);
        engine
            .submit(at_ns, id, row.prompt_tokens, row.output_tokens)
            .unwrap();
    }
    engine
        .work(u64::MAX, |progress| note(&mut replayed, progress))
        .unwrap();
    replayed
}

/// On a machine that does nothing else: `cargo test --release --test integration replay -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement: what else the machine does is in it"]
fn a_run_with_its_own_step_times_takes_as_long() {
    let bench = Bench::with_conf(&format!("{CONF}{ANY_SPEED}"));
    let args = ["--trace", "out/trace.json", "--max-batch", "4"];
    let done = finish(bench.demo_model("server", "performance", &args), LIMIT);
    assert_eq!(done.code(), Some(0), "{}\n{}", done.stdout, done.stderr);
    let trace = read_json(&bench.out().join("trace.json"));
    let steps = steps(trace.as_array().unwrap());
    let measured = Record::open(&bench.out()).unwrap().rows;
    let limits = Limits::new(i64::MAX, i64::MAX, 0.99, measured.len() as u64);
    let thought = Outcome::of(&replay(&measured, steps), &limits);
    let measured = Outcome::of(&measured, &limits);
    println!("measured {measured:?}\nreplayed {thought:?}");
    assert_eq!(thought.unanswered, 0);
    for k in [0, 1] {
        let ratio = thought.percentile_ns[k] as f64 / measured.percentile_ns[k] as f64;
        assert!((ratio - 1.0).abs() < 0.05, "{k}: {ratio}");
    }
}
