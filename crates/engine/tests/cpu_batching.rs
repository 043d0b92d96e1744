//! The real model on the CPU through the engine: in f32 a request's tokens do not depend on what it ran with.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use crossbeam_channel::unbounded;
use ossmark_engine::{CpuSettings, Dtype, Engine, EngineSettings, load_cpu};
use ossmark_protocol::{
    End, EngineStats, Event, Request, RequestId, Sampling, StopTokens, TokenId,
};

/// Far more than any of this takes.
const LONG: Duration = Duration::from_secs(120);
const BLOCK_SIZE: u32 = 4;
const N_REQUESTS: u64 = 64;

#[derive(Clone, Copy)]
struct Run {
    max_batch: u32,
    max_chunk: u32,
    pipeline_depth: u32,
    /// Of the KV pool.
    n_blocks: u64,
}

const ALONE: Run = Run {
    max_batch: 1,
    max_chunk: 512,
    pipeline_depth: 1,
    n_blocks: 4000,
};
const TOGETHER: Run = Run {
    max_batch: 64,
    ..ALONE
};

type Answer = (Vec<TokenId>, End);

fn model() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/golden/a")
}

/// Prompts of 1 to 29 tokens, beyond the window of 16 and over several blocks; every other one sampled.
fn requests() -> Vec<Request> {
    let one = |id: u64| {
        let prompt: Vec<_> = (0..1 + id * 13 % 29)
            .map(|i| ((id * 97 + i * 31 + i * i * 7) % 512) as TokenId)
            .collect();
        let sampling = match id % 4 {
            0 | 2 => Sampling::GREEDY,
            1 => Sampling {
                temperature: 1.0,
                top_p: 1.0,
                top_k: 0,
            },
            _ => Sampling {
                temperature: 1.3,
                top_p: 0.9,
                top_k: 40,
            },
        };
        let max_new_tokens = 2 + (id % 5) as u32 * 6;
        Request {
            id: RequestId(id),
            prompt: prompt.into(),
            sampling,
            seed: id << 33 | 5,
            max_new_tokens,
            want_logits: false,
            stop_tokens: StopTokens::default(),
            ignore_eos: false,
        }
    };
    (0..N_REQUESTS).map(one).collect()
}

fn answers(run: Run) -> (Vec<Answer>, EngineStats) {
    let settings = |bytes| CpuSettings {
        dtype: Dtype::F32,
        // The tests run side by side already.
        threads: Some(1),
        block_size: BLOCK_SIZE,
        memory_budget_bytes: Some(bytes),
        ..CpuSettings::default()
    };
    let bytes_per_block = load_cpu(&model(), &settings(1 << 20))
        .unwrap()
        .info
        .kv_bytes_per_block;
    let loaded = load_cpu(&model(), &settings(bytes_per_block * run.n_blocks)).unwrap();
    let settings = EngineSettings {
        stop_tokens: loaded.info.stop_tokens,
        pipeline_depth: run.pipeline_depth,
        max_batch: Some(run.max_batch),
        max_chunk: Some(run.max_chunk),
    };
    let (send, events) = unbounded();
    let engine = Engine::start(
        loaded.executor,
        settings,
        Box::new(move |event| send.send(event).is_ok()),
    )
    .unwrap();
    assert_eq!(u64::from(engine.capacity().n_blocks), run.n_blocks);
    engine.submit(requests()).unwrap();
    let mut tokens = vec![Vec::new(); N_REQUESTS as usize];
    let mut ends = vec![None; N_REQUESTS as usize];
    while ends.contains(&None) {
        let step = match events.recv_timeout(LONG).expect("an event") {
            Event::Step(step) => step,
            Event::Fatal(message) => panic!("{message}"),
        };
        let mut new = step.tokens.into_iter();
        for output in step.outputs {
            let id = output.id.0 as usize;
            assert_eq!(ends[id], None, "request {id} goes on after its end");
            tokens[id].extend(new.by_ref().take(output.n_tokens as usize));
            ends[id] = output.end;
        }
    }
    let stats = engine.stats();
    engine.shutdown(LONG).unwrap();
    (
        tokens.into_iter().zip(ends.into_iter().flatten()).collect(),
        stats,
    )
}

fn alone() -> &'static (Vec<Answer>, EngineStats) {
    static ALONE_ANSWERS: OnceLock<(Vec<Answer>, EngineStats)> = OnceLock::new();
    ALONE_ANSWERS.get_or_init(|| answers(ALONE))
}

fn check(run: Run) -> EngineStats {
    let (found, stats) = answers(run);
    for (id, (found, expected)) in found.iter().zip(&alone().0).enumerate() {
        assert_eq!(found, expected, "request {id}");
    }
    stats
}

#[test]
fn alone_the_requests_generate_something() {
    let (answers, stats) = alone();
    assert!(
        answers
            .iter()
            .all(|(tokens, end)| !tokens.is_empty() && !matches!(end, End::Failed(_)))
    );
    let longest = answers.iter().map(|(tokens, _)| tokens.len()).max();
    assert_eq!((longest, stats.preemptions), (Some(26), 0));
}

#[test]
fn in_a_batch_of_64_with_chunks_of_1() {
    check(Run {
        max_chunk: 1,
        ..TOGETHER
    });
}

#[test]
fn in_a_batch_of_64_with_chunks_of_7() {
    check(Run {
        max_chunk: 7,
        ..TOGETHER
    });
}

#[test]
fn in_a_batch_of_64_with_chunks_of_512() {
    let stats = check(TOGETHER);
    assert!(stats.steps < 60, "{stats:?} is no batch");
}

#[test]
fn preempted_repeatedly_under_a_tiny_pool_with_one_and_two_steps_in_flight() {
    for pipeline_depth in [1, 2] {
        // The longest needs 14 blocks for the full layers and 5 for the window.
        let stats = check(Run {
            pipeline_depth,
            n_blocks: 22,
            ..TOGETHER
        });
        assert!(stats.preemptions > 10, "{stats:?}");
    }
}
