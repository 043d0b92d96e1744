//! Rounds of speculation on a CUDA device: the tokens of plain decoding, whatever a head drafts; launched, recorded, with fp8,
//! in chunks, with two steps in flight.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use crossbeam_channel::unbounded;
use ossmark_engine::{
    CpuSettings, CudaSettings, Drafter, Engine, EngineSettings, Features, KvDtype, LoadedModel,
    Speculation, SyntheticHead, load_cpu, load_cuda,
};
use ossmark_protocol::{EngineStats, Event, Request, RequestId, Sampling, StopTokens, TokenId};

use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

use crate::drive::fixture;
use crate::switches::switched;

/// At the emulator's pace.
const LONG: Duration = Duration::from_secs(300);

fn head(name: &str) -> Drafter {
    let (checkpoint, name) = name.split_once('/').unwrap();
    Drafter::Head(Speculation {
        head: fixture("eagle3").join(checkpoint).join(name),
        steps: 3,
        features: match name {
            "boundary" => Features::Boundary,
            _ => Features::BlockOutput,
        },
    })
}

fn golden(name: &str) -> PathBuf {
    fixture("golden").join(name)
}

fn settings(drafter: Option<Drafter>) -> CudaSettings {
    CudaSettings {
        memory_budget_bytes: Some(16 << 20),
        max_step_tokens: 64,
        max_seqs: 4,
        graphs: false,
        // In check.rs.
        check: false,
        drafter,
        ..CudaSettings::default()
    }
}

fn load(model: &str, settings: &CudaSettings) -> LoadedModel {
    let settings = switched(settings.clone());
    load_cuda(&golden(model), &settings).unwrap_or_else(|e| panic!("{e}"))
}

/// How the prompts begin that the heads of a checkpoint were trained on, greedy and sampled.
fn requests(model: &str) -> Vec<Request> {
    let text = std::fs::read_to_string(golden(model).join("golden.jsonl")).unwrap();
    let prompt = |line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        serde_json::from_value(line["input_tokens"].clone()).unwrap()
    };
    let mut prompts: Vec<Vec<TokenId>> = text.lines().map(prompt).collect();
    prompts.iter_mut().for_each(|tokens| tokens.truncate(13));
    let request = |(id, prompt): (u64, Vec<TokenId>)| Request {
        id: RequestId(id),
        prompt: prompt.into(),
        sampling: Sampling {
            temperature: if id % 3 == 2 { 1.0 } else { 0.0 },
            ..Sampling::GREEDY
        },
        seed: id,
        max_new_tokens: 4 + 2 * id as u32,
        want_logits: false,
        stop_tokens: StopTokens::default(),
        ignore_eos: true,
    };
    let requests: Vec<_> = (0..)
        .zip(prompts.into_iter().cycle().take(4))
        .map(request)
        .collect();
    assert_eq!(requests.len(), 4);
    requests
}

/// All at once.
fn answers(
    loaded: LoadedModel,
    pipeline_depth: u32,
    requests: &[Request],
) -> (Vec<Vec<TokenId>>, EngineStats) {
    let all_blocks = u64::from(loaded.executor.capacity().n_blocks);
    let settings = EngineSettings {
        stop_tokens: Vec::new(),
        pipeline_depth,
        max_batch: None,
        max_chunk: Some(11),
    };
    let (send, events) = unbounded();
    let sink = Box::new(move |event| send.send(event).is_ok());
    let engine = Engine::start(loaded.executor, settings, sink).unwrap();
    engine.submit(requests.to_vec()).unwrap();
    let mut all: HashMap<RequestId, Vec<TokenId>> = HashMap::new();
    let mut open = requests.len();
    while open > 0 {
        let step = match events.recv_timeout(LONG).expect("an event") {
            Event::Step(step) => step,
            Event::Fatal(message) => panic!("{message}"),
        };
        let mut new = step.tokens.into_iter();
        for out in step.outputs {
            let tokens = all.entry(out.id).or_default();
            tokens.extend(new.by_ref().take(out.n_tokens as usize));
            open -= usize::from(out.end.is_some());
        }
    }
    let stats = engine.stats();
    assert_eq!(
        stats.free_blocks, all_blocks,
        "blocks are missing at the end"
    );
    engine.shutdown(LONG).unwrap();
    let of = |r: &Request| all.remove(&r.id).unwrap();
    (requests.iter().map(of).collect(), stats)
}

fn accepted(stats: &EngineStats) -> u64 {
    stats.speculation.accepted.iter().sum()
}

/// The head with an lm_head of its own, its rows the other way round, and `d2t` that says so.
fn reversed(dir: &std::path::Path) -> Drafter {
    let from = fixture("eagle3").join("a/own_lm_head");
    let file = std::fs::read(from.join("model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&file).unwrap();
    let offsets: Vec<u8> = (0..512_i64)
        .flat_map(|i| (511 - 2 * i).to_le_bytes())
        .collect();
    let mut rows = tensors.tensor("lm_head.weight").unwrap().data().to_vec();
    rows = rows.rchunks(rows.len() / 512).flatten().copied().collect();
    let mut all: Vec<_> = tensors.tensors();
    for (name, tensor) in &mut all {
        if name == "lm_head.weight" {
            *tensor = TensorView::new(tensor.dtype(), tensor.shape().to_vec(), &rows).unwrap();
        }
    }
    let d2t = TensorView::new(safetensors::Dtype::I64, vec![512], &offsets).unwrap();
    all.push(("d2t".into(), d2t));
    let file = safetensors::serialize(all, None).unwrap();
    std::fs::write(dir.join("model.safetensors"), file).unwrap();
    std::fs::copy(from.join("config.json"), dir.join("config.json")).unwrap();
    Drafter::Head(Speculation {
        head: dir.into(),
        steps: 3,
        features: Features::BlockOutput,
    })
}

mod cuda {
    use super::*;
    use crate::bench::has_cuda;

    /// Launched kernel by kernel. The CPU's, too, both in bf16: sums in other orders change a token where two are about as
    /// likely, which is not so here.
    #[test]
    fn the_tokens_of_plain_decoding_and_of_the_cpu() {
        if !has_cuda("speculation::cuda::the_tokens_of_plain_decoding_and_of_the_cpu") {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        for (model, drafter) in [
            ("a", head("a/copycat")),
            ("a", reversed(dir.path())),
            ("b", head("b/norm_before_fc")),
        ] {
            let requests = requests(model);
            let (plain, before) = answers(load(model, &settings(None)), 2, &requests);
            let with = settings(Some(drafter.clone()));
            let (found, stats) = answers(load(model, &with), 1, &requests);
            assert_eq!(found, plain, "{drafter:?}");
            let cpu = CpuSettings {
                threads: Some(1),
                memory_budget_bytes: Some(16 << 20),
                max_seqs: with.max_seqs,
                max_step_tokens: with.max_step_tokens,
                drafter: Some(drafter),
                ..CpuSettings::default()
            };
            let cpu = load_cpu(&golden(model), &cpu).unwrap();
            let (of_cpu, on_cpu) = answers(cpu, 1, &requests);
            assert_eq!(found, of_cpu, "the CPU's");
            println!(
                "{} of {} steps; {:?}, on the CPU {:?}",
                stats.steps, before.steps, stats.speculation, on_cpu.speculation
            );
            assert!(accepted(&stats) > 2, "{stats:?}");
        }
    }

    #[test]
    fn recorded_with_fp8_and_by_plain_kernels() {
        if !has_cuda("speculation::cuda::recorded_with_fp8_and_by_plain_kernels") {
            return;
        }
        let requests = requests("a");
        for (what, depth, change) in [
            (
                "recorded",
                1,
                (|s| s.graphs = true) as fn(&mut CudaSettings),
            ),
            ("fp8, recorded, two steps in flight", 2, |s| {
                (s.kv, s.graphs) = (KvDtype::Fp8, true);
            }),
            ("plain kernels", 1, |s| s.reference_kernels = true),
        ] {
            let with = |drafter| {
                let mut settings = settings(drafter);
                change(&mut settings);
                let loaded = load("a", &settings);
                assert_eq!(loaded.info.warnings, Vec::<String>::new(), "{what}");
                answers(loaded, depth, &requests)
            };
            let ((plain, _), (found, stats)) = (with(None), with(Some(head("a/copycat"))));
            assert_eq!(found, plain, "{what}");
            assert!(accepted(&stats) > 2, "{what}: {stats:?}");
        }
    }

    /// Rounds of a given length, whatever was drafted.
    #[test]
    fn a_synthetic_head() {
        if !has_cuda("speculation::cuda::a_synthetic_head") {
            return;
        }
        let requests = requests("a");
        let drafter = Drafter::Synthetic(SyntheticHead {
            seed: 1,
            steps: 2,
            acceptance_length: 3.0,
        });
        let loaded = load("a", &settings(Some(drafter)));
        assert!(loaded.info.description.contains("SYNTHETIC EAGLE3"));
        let (found, stats) = answers(loaded, 1, &requests);
        // All of them: no model would choose what random weights draft.
        let drafted: u64 = stats.speculation.drafted.iter().sum();
        assert!(drafted > 10 && drafted == accepted(&stats), "{stats:?}");
        let lengths: Vec<_> = found.iter().map(Vec::len).collect();
        assert_eq!(lengths, [4, 6, 8, 10]);
    }
}
