//! Runs requests through an engine with and without a head.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crossbeam_channel::unbounded;
use ossmark_engine::{
    CpuSettings, Dtype, Engine, EngineSettings, Features, KvDtype, LoadError, LoadedModel,
    Speculation, load_cpu,
};
use ossmark_protocol::{
    End, EngineStats, Event, Request, RequestId, Round, Sampling, StopTokens, TokenId,
};

/// Far more than any of this takes.
const LONG: Duration = Duration::from_secs(300);
const BLOCK_SIZE: u32 = 4;

pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

pub(crate) fn golden(name: &str) -> PathBuf {
    fixtures().join("golden").join(name)
}

/// Every head of the fixtures, with its checkpoint.
pub(crate) fn all_heads() -> Vec<(&'static str, PathBuf)> {
    let mut all = Vec::new();
    for checkpoint in ["a", "b"] {
        let folder = fixtures().join("eagle3").join(checkpoint);
        let heads = std::fs::read_dir(folder).unwrap();
        all.extend(heads.map(|head| (checkpoint, head.unwrap().path())));
    }
    all.sort();
    assert_eq!(all.len(), 8);
    all
}

/// With the features that its fixture was made with.
pub(crate) fn speculation(head: &Path) -> Speculation {
    let oracle = std::fs::read_to_string(head.join("oracle.json")).unwrap_or_default();
    Speculation {
        head: head.into(),
        steps: 3,
        features: if oracle.contains("\"boundary\"") {
            Features::Boundary
        } else {
            Features::BlockOutput
        },
    }
}

#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) model: PathBuf,
    pub(crate) speculation: Option<Speculation>,
    pub(crate) dtype: Dtype,
    pub(crate) kv: KvDtype,
    pub(crate) max_batch: u32,
    pub(crate) max_chunk: u32,
    pub(crate) pipeline_depth: u32,
    /// Of the KV pool.
    pub(crate) n_blocks: u64,
    /// Requests that are cancelled when so many tokens have come in all.
    pub(crate) cancel: Vec<(usize, RequestId)>,
}

impl Run {
    pub(crate) fn plain(model: &Path) -> Self {
        Self {
            model: model.into(),
            speculation: None,
            dtype: Dtype::F32,
            kv: KvDtype::AsActivations,
            max_batch: 64,
            max_chunk: 512,
            pipeline_depth: 1,
            n_blocks: 8000,
            cancel: Vec::new(),
        }
    }

    pub(crate) fn with(model: &Path, speculation: Speculation) -> Self {
        Self {
            speculation: Some(speculation),
            ..Self::plain(model)
        }
    }
}

pub(crate) fn load(run: &Run, bytes: u64) -> Result<LoadedModel, LoadError> {
    let settings = CpuSettings {
        dtype: run.dtype,
        kv: run.kv,
        // The tests run side by side already.
        threads: Some(1),
        block_size: BLOCK_SIZE,
        memory_budget_bytes: Some(bytes),
        drafter: run.speculation.clone().map(Into::into),
        ..CpuSettings::default()
    };
    load_cpu(&run.model, &settings)
}

#[derive(Debug, Default)]
pub(crate) struct Answers {
    pub(crate) by_id: HashMap<RequestId, (Vec<TokenId>, Option<End>)>,
    pub(crate) rounds: Vec<Round>,
    pub(crate) stats: EngineStats,
}

pub(crate) fn answers(run: &Run, requests: &[Request]) -> Answers {
    let bytes_per_block = load(run, 1 << 20).unwrap().info.kv_bytes_per_block;
    let loaded = load(run, bytes_per_block * run.n_blocks).unwrap_or_else(|e| panic!("{e}"));
    let settings = EngineSettings {
        stop_tokens: loaded.info.stop_tokens,
        pipeline_depth: run.pipeline_depth,
        max_batch: Some(run.max_batch),
        max_chunk: Some(run.max_chunk),
    };
    let (send, events) = unbounded();
    let sink = Box::new(move |event| send.send(event).is_ok());
    let engine = Engine::start(loaded.executor, settings, sink).unwrap();
    engine.submit(requests.to_vec()).unwrap();
    let mut all = Answers::default();
    let (mut open, mut seen) = (requests.len(), 0);
    let mut cancel = run.cancel.clone();
    while open > 0 {
        let step = match events.recv_timeout(LONG).expect("an event") {
            Event::Step(step) => step,
            Event::Fatal(message) => panic!("{message}"),
        };
        all.rounds.extend(step.rounds);
        seen += step.tokens.len();
        let mut new = step.tokens.into_iter();
        for output in step.outputs {
            let (tokens, end) = all.by_id.entry(output.id).or_default();
            assert_eq!(*end, None, "request {} goes on after its end", output.id.0);
            tokens.extend(new.by_ref().take(output.n_tokens as usize));
            *end = output.end;
            open -= usize::from(end.is_some());
        }
        let now = cancel.extract_if(.., |(at, _)| *at <= seen);
        let ids: Vec<_> = now.map(|(_, id)| id).collect();
        engine.cancel(ids);
    }
    // Idle: what is not free now is lost.
    let free = u64::from(engine.capacity().n_blocks);
    let mut last = engine.stats();
    for _ in 0..1000 {
        last = engine.stats();
        if last.free_blocks == free {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(last.free_blocks, free, "blocks are missing at the end");
    all.stats = last;
    engine.shutdown(LONG).unwrap();
    all
}

/// The golden prompts of a checkpoint, but for the longest: on these its heads were trained.
pub(crate) fn golden_prompts(name: &str) -> Vec<Vec<TokenId>> {
    let text = std::fs::read_to_string(golden(name).join("golden.jsonl")).unwrap();
    let prompts = text.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        serde_json::from_value(line["input_tokens"].clone()).unwrap()
    });
    prompts
        .filter(|tokens: &Vec<TokenId>| tokens.len() <= 40)
        .collect()
}

/// Prompts of 1 to 40 tokens, every third one of `known`, beyond the windows and over several blocks: greedy, at temperature 1,
/// with top-p and top-k.
pub(crate) fn requests(n: u64, vocab: u64, known: &[Vec<TokenId>]) -> Vec<Request> {
    let one = |id: u64| {
        let made = || {
            (0..1 + id * 13 % 39)
                .map(|i| ((id * 97 + i * 31 + i * i * 7) % vocab) as TokenId)
                .collect()
        };
        let prompt: Vec<_> = match known.len() as u64 {
            n if n > 0 && id.is_multiple_of(3) => known[(id / 3 % n) as usize].clone(),
            _ => made(),
        };
        let sampled = Sampling {
            temperature: 1.0,
            ..Sampling::GREEDY
        };
        Request {
            id: RequestId(id),
            prompt: prompt.into(),
            sampling: match id % 5 {
                0 | 3 => Sampling::GREEDY,
                1 => sampled,
                2 => Sampling {
                    top_p: 0.9,
                    ..sampled
                },
                _ => Sampling {
                    temperature: 0.4,
                    top_k: 5,
                    ..sampled
                },
            },
            seed: id << 33 | 5,
            max_new_tokens: 1 + (id % 7) as u32 * 4,
            want_logits: false,
            // A few end in the middle of what was accepted.
            stop_tokens: match id % 6 {
                0 => StopTokens::from(vec![(id * 5 % vocab) as TokenId, 7]),
                _ => StopTokens::default(),
            },
            ignore_eos: id.is_multiple_of(4),
        }
    };
    (0..n).map(one).collect()
}
