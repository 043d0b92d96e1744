//! `kernels/synthetic.cu`: the device makes the numbers that the host computes.

use ossmark_engine::batch::StepBatch;
use ossmark_engine::config::ModelConfig;
use ossmark_engine::cuda::CudaOps;
use ossmark_engine::executor::{BlockTable, Capacity, InputToken, StepPlan, StepSeq};
use ossmark_engine::ops::Ops;
use ossmark_engine::weights::{
    ModelSources, Placement, Synthetic, block_byte, gpt_oss_120b, scale_byte,
};
use ossmark_engine::{CpuSettings, load_cpu_synthetic, load_cuda_synthetic};

use crate::bench::has_cuda;
use crate::drive::{alone, log_softmax};
use crate::switches::switched;

/// gpt-oss-120b, made small.
fn small() -> ModelConfig {
    let mut c = gpt_oss_120b();
    c.layers.truncate(2);
    (
        c.vocab_size,
        c.hidden,
        c.intermediate,
        c.experts,
        c.heads,
        c.kv_heads,
    ) = (300, 96, 64, 8, 16, 2);
    c.max_context = 1024;
    c
}

mod cuda {
    use super::*;

    #[test]
    fn a_matrix_is_what_the_host_computes() {
        if !has_cuda("synthetic::cuda::a_matrix_is_what_the_host_computes") {
            return;
        }
        let c = small();
        let capacity = Capacity {
            n_blocks: 16,
            block_size: 16,
            window: Some(128),
            has_full: true,
            max_step_tokens: 300,
            max_seqs: 1,
            max_context: 1024,
            vocab_size: 300,
            draft_tokens: 0,
        };
        let sources =
            ModelSources::synthetic(&c, Synthetic::seeded(7), Placement::OnDevice).unwrap();
        let mut ops = CudaOps::open(&c, 0).unwrap();
        ops.plan(&capacity).unwrap();
        let table = ops.linear_weights(&sources.embedding).unwrap();
        let mut out = ops.buf(128, 96).unwrap();
        let blocks = |first: u32| BlockTable {
            first_block: 0,
            blocks: (first..first + 8).collect(),
        };
        let seq = StepSeq {
            slot: 0,
            start: 0,
            inputs: (172..300).map(InputToken::Known).collect(),
            full: blocks(0),
            window: blocks(8),
            sample: None,
            want_logits: false,
            ..StepSeq::default()
        };
        ops.begin(&StepBatch::new(&StepPlan { seqs: vec![seq] }, &capacity).unwrap())
            .unwrap();
        ops.embed(&table, &mut out).unwrap();
        let got = ops.read(&out, 128).unwrap();
        assert_eq!(got, sources.embedding.weight[0].to_vec()[172 * 96..]);
        let mean = got.iter().sum::<f32>() / got.len() as f32;
        assert!(
            mean.abs() < 0.05 && got.iter().any(|x| *x > 0.9) && got.iter().any(|x| *x < -0.9),
            "mean {mean}"
        );
    }

    #[test]
    fn a_synthetic_model_runs_and_says_what_it_is() {
        if !has_cuda("synthetic::cuda::a_synthetic_model_runs_and_says_what_it_is") {
            return;
        }
        let settings = switched(ossmark_engine::CudaSettings {
            memory_budget_bytes: Some(32 << 20),
            max_step_tokens: 64,
            max_seqs: 4,
            ..Default::default()
        });
        let mut loaded = load_cuda_synthetic(&small(), Synthetic::seeded(1), &settings).unwrap();
        assert!(
            loaded.info.description.starts_with("SYNTHETIC"),
            "{}",
            loaded.info.description
        );
        assert_eq!(loaded.info.warnings, Vec::<String>::new());
        let answer = alone(&mut *loaded.executor, &[5, 7, 11], 8, 64);
        assert_eq!(answer.generated().len(), 8);
        let again = alone(&mut *loaded.executor, &[5, 7, 11], 8, 64);
        assert!(answer.logits == again.logits, "the same bits run to run");
        let cpu = CpuSettings {
            memory_budget_bytes: Some(32 << 20),
            max_seqs: 4,
            threads: Some(2),
            ..CpuSettings::default()
        };
        let mut cpu = load_cpu_synthetic(&small(), Synthetic::seeded(1), &cpu).unwrap();
        assert!(cpu.info.description.starts_with("SYNTHETIC"));
        let prompt = [5, 7, 11, 13, 17];
        let (a, b) = (
            alone(&mut *loaded.executor, &prompt, 1, 64),
            alone(&mut *cpu.executor, &prompt, 1, 64),
        );
        let (a, b) = (log_softmax(&a.logits, 300), log_softmax(&b.logits, 300));
        let mean = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).sum::<f64>() / a.len() as f64;
        assert!(
            mean < 0.02,
            "CUDA and CPU are {mean} apart on the same weights"
        );
    }
}

#[test]
fn bytes_and_scales_use_all_their_values() {
    let mut seen = [0; 256];
    (0..65_536).for_each(|i| seen[usize::from(block_byte(3, i))] += 1);
    assert!(seen.iter().all(|n| (150..400).contains(n)), "{seen:?}");
    let upper = (0..1000).filter(|i| scale_byte(3, 119, *i) == 120).count();
    assert!((400..600).contains(&upper), "{upper}");
}

/// The same numbers in memory as from the seed; other seeds, others; a skewed router has biases.
#[test]
fn in_memory_as_on_the_device() {
    let c = small();
    let made = |which, made| ModelSources::synthetic(&c, which, made).unwrap();
    let (a, b) = (
        made(Synthetic::seeded(5), Placement::OnDevice),
        made(Synthetic::seeded(5), Placement::InMemory),
    );
    for (a, b) in [
        (&a.norm, &b.norm),
        (&a.lm_head.weight[0], &b.lm_head.weight[0]),
        (
            &a.layers[1].attention.qkv.weight[0],
            &b.layers[1].attention.qkv.weight[0],
        ),
        (&a.layers[1].experts.up_bias, &b.layers[1].experts.up_bias),
    ] {
        assert_eq!(a.to_vec(), b.to_vec());
    }
    let up = &b.layers[0].experts.up;
    assert_eq!(
        (up.blocks().len(), up.scales().len()),
        (8 * 128 * 48, 8 * 128 * 3)
    );
    assert!(up.scales().iter().all(|s| [119, 120].contains(s)));
    let other = made(Synthetic::seeded(6), Placement::InMemory);
    assert_ne!(other.layers[0].experts.up.blocks(), up.blocks());
    let bias = |s: &ModelSources| s.layers[0].router.bias[0].to_vec();
    assert!(bias(&b).iter().all(|x| *x == 0.0));
    let skewed = Synthetic {
        router_skew: 2.0,
        ..Synthetic::seeded(5)
    };
    let skewed = bias(&made(skewed, Placement::InMemory));
    assert!(skewed.iter().all(|x| x.abs() <= 2.0) && skewed.iter().any(|x| x.abs() > 0.5));
}
