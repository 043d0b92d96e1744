//! The engine's own scheduler on a virtual clock, as the prediction of runs uses it: against the plain model of continuous
//! batching where blocks are plenty, and for itself where they are not.

use ossmark_engine::executor::Capacity;
use ossmark_engine::{Clocked, EngineError, EngineSettings, StepWork};
use ossmark_predict::{
    BatchLimits, Batching, Lengths, Model, Query, Step, System, at_once, simulate,
};
use ossmark_protocol::{RequestError, RequestId};
use ossmark_record::Row;
use proptest::prelude::*;

const CAPACITY: Capacity = Capacity {
    n_blocks: 100_000,
    block_size: 16,
    window: Some(32),
    has_full: true,
    max_step_tokens: 256,
    max_seqs: 16,
    max_context: 4096,
    vocab_size: 50,
    draft_tokens: 0,
};

const MODEL: Model = Model {
    step_s: 0.01,
    prefill_token_s: 1e-5,
    decode_row_s: 1e-4,
    context_s: 1e-7,
};

/// The engine behind the prediction's seam.
struct Engine(Clocked);

impl System for Engine {
    fn submit(&mut self, place: usize, rows: &mut [Row]) {
        let row = &rows[place];
        let at_ns = row.scheduled_ns.unwrap() as u64;
        let id = RequestId(place as u64);
        self.0
            .submit(at_ns, id, row.prompt_tokens, row.output_tokens)
            .unwrap();
    }

    fn work(&mut self, until_ns: i64, rows: &mut [Row]) {
        let progress = |progress: ossmark_engine::Progress| {
            let row = &mut rows[progress.id.0 as usize];
            let at_ns = Some(progress.at_ns as i64);
            row.first_token_ns = row.first_token_ns.or(at_ns);
            if progress.ended {
                row.completed_ns = at_ns;
            }
        };
        self.0.work(until_ns as u64, progress).unwrap();
    }
}

fn engine(capacity: Capacity, pipeline_depth: u32, max_chunk: u32) -> Engine {
    let settings = EngineSettings {
        stop_tokens: Vec::new(),
        pipeline_depth,
        max_batch: None,
        max_chunk: Some(max_chunk),
    };
    let step_ns = |work: &StepWork| {
        let StepWork {
            prefill_tokens,
            decode_rows,
            context,
        } = *work;
        MODEL.nanoseconds(&Step {
            prefill_tokens,
            decode_rows,
            context,
        }) as u64
    };
    Engine(Clocked::new(capacity, settings, step_ns).unwrap())
}

fn lengths(query: &Query) -> Lengths {
    Lengths {
        prompt: 2 + query.sample * 37 % 300,
        output: 1 + query.sample * 53 % 60,
    }
}

fn queries() -> impl Strategy<Value = Vec<Query>> {
    prop::collection::vec((0..200_000_000_u64, 0..1000_u32), 1..60).prop_map(|gaps| {
        let mut due_ns = 0;
        let query = |(gap, sample)| {
            due_ns += gap;
            Query { due_ns, sample }
        };
        gaps.into_iter().map(query).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Two descriptions of the same policy, to the nanosecond.
    #[test]
    fn with_blocks_in_plenty_it_is_plain_continuous_batching(
        queries in queries(), max_seqs in 1..20_u32, max_step_tokens in 20..300_u32, max_chunk in 1..300_u32,
    ) {
        // A prompt's last token alone goes with the decodes: only where chunks leave one is that seen.
        let whole = |query: &Query| {
            let lengths = lengths(query);
            Lengths { prompt: lengths.prompt.min(max_chunk), ..lengths }
        };
        let capacity = Capacity { max_seqs, max_step_tokens: max_step_tokens + max_seqs, ..CAPACITY };
        let limits = BatchLimits {
            max_seqs: max_seqs as usize,
            max_step_tokens: u64::from(max_step_tokens + max_seqs),
            max_chunk: u64::from(max_chunk),
        };
        let by_engine = simulate(&mut engine(capacity, 1, max_chunk), &queries, whole);
        let plain = simulate(&mut Batching::new(MODEL, limits), &queries, whole);
        prop_assert_eq!(by_engine, plain);
    }

    /// With blocks for little more than the longest sample, and two steps under way: nobody is lost, and those that are there
    /// first have their first token first as long as nobody's prompt is cut.
    #[test]
    fn with_few_blocks_every_sample_is_still_served(queries in queries(), n_blocks in 40..80_u32, depth in 1..3_u32) {
        let capacity = Capacity { n_blocks, ..CAPACITY };
        let rows = simulate(&mut engine(capacity, depth, 256), &queries, lengths);
        for row in &rows {
            prop_assert!(row.ttft_ns().unwrap() > 0);
            prop_assert!(row.completed_ns >= row.first_token_ns);
            prop_assert_eq!(row.output_tokens == 1, row.completed_ns == row.first_token_ns);
        }
    }
}

/// 40 samples at once in a pool that holds few of them: they preempt each other, and it takes longer than in a large one.
#[test]
fn blocks_that_run_out_cost_time() {
    let samples: Vec<u32> = (0..40).collect();
    let long = |_: &Query| Lengths {
        prompt: 100,
        output: 200,
    };
    let run = |n_blocks| {
        let mut engine = engine(
            Capacity {
                n_blocks,
                ..CAPACITY
            },
            1,
            256,
        );
        let rows = simulate(&mut engine, &at_once(&samples), long);
        let ended = rows.iter().map(|row| row.completed_ns.unwrap()).max();
        (ended.unwrap(), engine.0.preemptions())
    };
    let ((small, preempted), (large, none)) = (run(60), run(10_000));
    assert!(preempted > 0 && none == 0, "{preempted} {none}");
    assert!(small > large, "{small} {large}");
}

/// Two steps under way hide nothing on a device that is always busy: alone, a sample has the same times.
#[test]
fn a_sample_alone_takes_the_same_at_either_depth() {
    let [one, two] =
        [1, 2].map(|depth| simulate(&mut engine(CAPACITY, depth, 64), &at_once(&[7]), lengths));
    assert_eq!(one[0].ttft_ns(), two[0].ttft_ns());
    assert_eq!(one[0].latency_ns(), two[0].latency_ns());
}

#[test]
fn what_an_engine_refuses_is_refused() {
    let mut engine = engine(CAPACITY, 1, 64).0;
    let mut refusal = |prompt, output| engine.submit(0, RequestId(1), prompt, output);
    assert_eq!(refusal(0, 5), Err(RequestError::EmptyPrompt));
    assert_eq!(refusal(5, 0), Err(RequestError::NoNewTokens));
    assert!(refusal(4096, 5).is_err());
    let settings = EngineSettings {
        stop_tokens: Vec::new(),
        pipeline_depth: 3,
        max_batch: None,
        max_chunk: None,
    };
    let error = |capacity, settings| Clocked::new(capacity, settings, |_| 1).err().unwrap();
    assert!(matches!(
        error(CAPACITY, settings.clone()),
        EngineError::Setting { name, .. } if name == "pipeline_depth"
    ));
    let heads = Capacity {
        draft_tokens: 3,
        ..CAPACITY
    };
    assert!(matches!(
        error(heads, settings),
        EngineError::Capacity { name, .. } if name == "draft_tokens"
    ));
}
