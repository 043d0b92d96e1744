//! The head's logits against an independent reference in PyTorch (tests/fixtures/eagle3/README.md).

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use serde_json::Value;

use super::{Features, Head, LoadedHead, Speculation, SpeculativeRunner};
use crate::config::ModelConfig;
use crate::cpu::CpuOps;
use crate::executor::{
    BlockTable, Capacity, Executor, InputToken, SampleSpec, StepPlan, StepSeq, StepTokens,
};
use crate::model::Model;
use crate::weights::{Checkpoint, ModelSources, Placement};
use ossmark_protocol::{Sampling, TokenId};

/// More than the longest prompt of the fixtures.
const MOST: usize = 192;
const BLOCK: u32 = 16;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn runner(checkpoint: &str, head: &Path) -> SpeculativeRunner<CpuOps> {
    let dir = fixtures().join("golden").join(checkpoint);
    let boundary = json(&head.join("oracle.json"))["features"] == "boundary";
    let speculation = Speculation {
        head: head.into(),
        steps: 3,
        features: if boundary {
            Features::Boundary
        } else {
            Features::BlockOutput
        },
    };
    let config = ModelConfig::load(&dir).unwrap();
    let target = Checkpoint::open(&dir).unwrap();
    let sources = ModelSources::find(&target, &config).unwrap();
    let loaded = LoadedHead::new(&speculation.into(), &config, Placement::InMemory).unwrap();
    let capacity = Capacity {
        n_blocks: 64,
        block_size: BLOCK,
        window: config.window.map(|w| w as u32),
        has_full: true,
        max_step_tokens: MOST as u32,
        max_seqs: MOST as u32,
        max_context: 512,
        vocab_size: config.vocab_size as u32,
        draft_tokens: 3,
    };
    let mut ops = CpuOps::new(&config, &capacity, false, 1).unwrap();
    let model = Model::new(&mut ops, &config, &sources, MOST, MOST).unwrap();
    let (shape, rope) = (loaded.config.as_model(), loaded.config.rope.clone());
    let mut head_ops = ops.beside(&shape, rope, &capacity).unwrap();
    let head = Head::new(
        &mut head_ops,
        &loaded.config,
        &loaded.sources,
        &model,
        MOST,
        MOST,
    )
    .unwrap();
    SpeculativeRunner::new((ops, model), (head_ops, head), &loaded, capacity)
}

/// One greedy step of the only sequence.
fn step(
    runner: &mut SpeculativeRunner<CpuOps>,
    start: usize,
    inputs: &[TokenId],
    drafts: usize,
) -> StepTokens {
    let blocks = |first: u32| BlockTable {
        first_block: 0,
        blocks: (first..first + MOST as u32 / BLOCK).collect(),
    };
    let seq = StepSeq {
        slot: 2,
        start: start as u32,
        inputs: inputs.iter().map(|t| InputToken::Known(*t)).collect(),
        full: blocks(0),
        window: blocks(32),
        sample: Some(SampleSpec {
            sampling: Sampling::GREEDY,
            uniform: 0.0,
        }),
        verify: vec![0.0; drafts],
        ..StepSeq::default()
    };
    let step = runner.submit(StepPlan { seqs: vec![seq] }).unwrap();
    runner.wait(step).unwrap()
}

/// The logits of the first pairs of the last run.
fn of_last_run(runner: &mut SpeculativeRunner<CpuOps>, rows: usize) -> Vec<f32> {
    runner.head.seen.logits.clear();
    runner.head.look(&mut runner.head_ops, rows).unwrap();
    std::mem::take(&mut runner.head.seen.logits)
}

fn worst(found: &[f32], expected: &[f32], what: &str) -> f32 {
    assert_eq!(found.len(), expected.len(), "{what}");
    let diffs = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
    let worst = diffs.fold(0.0, f32::max);
    // Not `<`: NaN is no agreement.
    assert!(worst <= 1e-3, "{what}: logits differ by {worst}");
    worst
}

/// Of one prompt: the prompt's pairs, the first round, what is learnt from it, the second round.
fn prompt(
    runner: &mut SpeculativeRunner<CpuOps>,
    tokens: &[TokenId],
    expected: &HashMap<String, Vec<f32>>,
    name: &str,
) -> f32 {
    let first = step(runner, 0, tokens, 0);
    let mut last = first.tokens[0].unwrap();
    let found = of_last_run(runner, tokens.len());
    let mut most = worst(&found, &expected["prefill"], &format!("{name} prefill"));
    let mut start = tokens.len();
    for round in ["1", "2"] {
        runner.head.seen.logits.clear();
        let results = step(runner, start, &[last], 3);
        let (found, what) = (&runner.head.seen.logits, format!("{name} round{round}"));
        most = most.max(worst(found, &expected[&format!("round{round}")], &what));
        let stand = 1 + results.drafts[0].accepted as usize;
        if round == "1" {
            let found = of_last_run(runner, stand);
            most = most.max(worst(
                &found,
                &expected["rerun1"],
                &format!("{name} rerun1"),
            ));
        }
        (start, last) = (start + stand, results.tokens[0].unwrap());
    }
    most
}

#[test]
fn logits_are_those_of_the_reference() {
    let mut n = 0;
    for (checkpoint, heads) in [
        (
            "a",
            &["boundary", "copycat", "d2t", "own_lm_head", "random"][..],
        ),
        ("b", &["copycat", "norm_before_fc", "random"]),
    ] {
        let golden = fixtures().join("golden").join(checkpoint);
        let lines = std::fs::read_to_string(golden.join("golden.jsonl")).unwrap();
        for name in heads {
            let head = fixtures().join("eagle3").join(checkpoint).join(name);
            let file = std::fs::read(head.join("head_logits.safetensors")).unwrap();
            let tensors = SafeTensors::deserialize(&file).unwrap();
            for line in lines.lines() {
                let line: Value = serde_json::from_str(line).unwrap();
                let id = line["id"].as_str().unwrap();
                let of_prompt = tensors.iter().filter_map(|(name, tensor)| {
                    let part = name.strip_suffix(&format!(".{id}"))?;
                    let numbers = tensor.data().as_chunks::<4>().0.iter();
                    Some((
                        part.to_owned(),
                        numbers.map(|b| f32::from_le_bytes(*b)).collect(),
                    ))
                });
                let expected: HashMap<String, Vec<f32>> = of_prompt.collect();
                if expected.is_empty() {
                    continue;
                }
                let tokens: Vec<TokenId> =
                    serde_json::from_value(line["input_tokens"].clone()).unwrap();
                let mut runner = runner(checkpoint, &head);
                let name = format!("{checkpoint}/{name} {id}");
                prompt(&mut runner, &tokens, &expected, &name);
                n += 1;
            }
        }
    }
    assert_eq!(n, 16, "two prompts for each head");
}
