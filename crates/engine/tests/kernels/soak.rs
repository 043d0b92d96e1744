//! Many more requests than fit at once, through the engine: none is lost or answered twice, and no KV block is left behind.
//! `OSSMARK_SOAK_REQUESTS` says how many.

use std::collections::HashMap;
use std::time::Duration;

use crossbeam_channel::unbounded;
use ossmark_engine::{CudaSettings, Engine, EngineSettings, load_cuda};
use ossmark_protocol::{End, Event, Request, RequestId, Sampling, StopTokens};

use crate::bench::{has_cuda, seed};
use crate::switches::switched;
use crate::tiny::{Random, Tiny};

/// At the emulator's pace, a step of hundreds of rows takes a while.
const LONG: Duration = Duration::from_secs(120);

fn request(id: u64, seed: u64) -> Request {
    let mut random = Random(seed ^ id);
    let length = 1 + random.next() % 3;
    Request {
        id: RequestId(id),
        prompt: (0..length).map(|_| (random.next() % 32) as u32).collect(),
        sampling: Sampling {
            temperature: 1.0,
            top_p: 1.0,
            top_k: 0,
        },
        seed: id,
        // A few long ones, whose blocks run out.
        max_new_tokens: if random.next().is_multiple_of(4) {
            24
        } else {
            (1 + random.next() % 4) as u32
        },
        want_logits: false,
        stop_tokens: StopTokens::default(),
        ignore_eos: false,
    }
}

mod cuda {
    use super::*;

    #[test]
    fn more_requests_than_fit() {
        if !has_cuda("soak::cuda::more_requests_than_fit") {
            return;
        }
        let n: u64 = std::env::var("OSSMARK_SOAK_REQUESTS").map_or(800, |n| n.parse().unwrap());
        let model = Tiny {
            vocab: 32,
            hidden: 32,
            experts: 2,
            top_k: 1,
            heads: 1,
            kv_heads: 1,
            head_dim: 8,
            ..Tiny::default()
        };
        let settings = switched(CudaSettings {
            // Room for the first two blocks of 512 sequences, and little more.
            memory_budget_bytes: Some(1100 * 4 * 2 * 8 * 2),
            block_size: 4,
            max_step_tokens: 1024,
            max_seqs: 512,
            check: false,
            graphs: false,
            ..CudaSettings::default()
        });
        let loaded = load_cuda(model.folder().path(), &settings).unwrap();
        let all_blocks = u64::from(loaded.executor.capacity().n_blocks);
        let (send, events) = unbounded();
        let settings = EngineSettings {
            stop_tokens: Vec::new(),
            pipeline_depth: 2,
            max_batch: None,
            max_chunk: None,
        };
        let sink = Box::new(move |event| send.send(event).is_ok());
        let engine = Engine::start(loaded.executor, settings, sink).unwrap();
        let seed = seed();
        let (mut submitted, mut done) = (0, 0);
        let mut open: HashMap<u64, u32> = HashMap::new();
        let mut most_running = 0;
        while done < n {
            // Always more than there are slots for.
            while submitted < n && submitted - done < 1500 {
                let some: Vec<_> = (submitted..n.min(submitted + 250))
                    .map(|id| request(id, seed))
                    .collect();
                open.extend(some.iter().map(|r| (r.id.0, 0)));
                submitted += some.len() as u64;
                engine.submit(some).unwrap();
            }
            let step = match events.recv_timeout(LONG).expect("an event") {
                Event::Fatal(message) => panic!("{message}"),
                Event::Step(step) => step,
            };
            most_running = most_running.max(step.outputs.len());
            for output in step.outputs {
                let id = output.id.0;
                let tokens = open
                    .get_mut(&id)
                    .unwrap_or_else(|| panic!("{id} was not open"));
                *tokens += output.n_tokens;
                let Some(end) = output.end else { continue };
                assert_eq!(end, End::Length, "{id}");
                assert_eq!(*tokens, request(id, seed).max_new_tokens, "{id}");
                open.remove(&id);
                done += 1;
            }
        }
        let stats = engine.stats();
        println!(
            "{n} requests, {most_running} at once, {} steps, {} preemptions",
            stats.steps, stats.preemptions
        );
        assert!(open.is_empty());
        // Enough of them to fill everything.
        if n >= 800 {
            assert!(most_running > 450 && stats.preemptions > 0);
        }
        assert_eq!(
            (stats.running, stats.waiting, stats.free_blocks),
            (0, 0, all_blocks)
        );
        engine.shutdown(LONG).unwrap();
    }
}
