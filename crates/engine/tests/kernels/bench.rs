//! A device with a small model's weights, random inputs, poisoned outputs, and the comparison with f64.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use half::bf16;
use ossmark_engine::KvDtype;
use ossmark_engine::batch::StepBatch;
use ossmark_engine::config::ModelConfig;
use ossmark_engine::cpu::CpuOps;
use ossmark_engine::cuda::{CudaOps, cuda_devices, keep_context};
use ossmark_engine::executor::{BlockTable, Capacity, InputToken, SampleSpec, StepPlan, StepSeq};
use ossmark_engine::ops::Ops;
use ossmark_engine::weights::{Checkpoint, ModelSources};
use tempfile::TempDir;

use crate::switches::without;
use crate::tiny::{Random, Tiny};

thread_local! {
    /// Whether this test's CUDA device computes with the reference kernels alone.
    pub(crate) static REFERENCE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    /// How this test's device keeps keys and values.
    pub(crate) static KV: std::cell::Cell<KvDtype> = const { std::cell::Cell::new(KvDtype::AsActivations) };
    /// Positions of a block of this test's devices.
    pub(crate) static BLOCK: std::cell::Cell<u32> = const { std::cell::Cell::new(16) };
    /// Tokens that this test's devices have room for behind the last one of each sequence.
    pub(crate) static DRAFTS: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// A device that a test can open.
pub(crate) trait Device: Ops {
    const HAS_TENSOR_CORES: bool;
    fn open(config: &ModelConfig, capacity: &Capacity) -> Self;
}

impl Device for CpuOps {
    const HAS_TENSOR_CORES: bool = false;
    fn open(config: &ModelConfig, capacity: &Capacity) -> Self {
        let mut ops = CpuOps::new(config, capacity, true, 2).unwrap();
        ops.set_kv_dtype(KV.get());
        ops
    }
}

impl Device for CudaOps {
    const HAS_TENSOR_CORES: bool = true;
    fn open(config: &ModelConfig, capacity: &Capacity) -> Self {
        let mut ops = CudaOps::open(config, 0).unwrap_or_else(|e| panic!("{e}"));
        if REFERENCE.get() || without("fast") {
            ops.use_reference_kernels(true);
        }
        if without("overlap") {
            ops.disable_overlap();
        }
        ops.set_kv_dtype(KV.get());
        ops.plan(capacity).unwrap_or_else(|e| panic!("{e}"));
        ops
    }
}

/// Whether there is a CUDA device; says when not. The emulator counts.
pub(crate) fn has_cuda(test: &str) -> bool {
    match cuda_devices() {
        Ok(n) if n > 0 => {
            // One context for all tests of a process: each engine would make one of its own, and take it along.
            static KEPT: OnceLock<()> = OnceLock::new();
            KEPT.get_or_init(|| keep_context(0).unwrap_or_else(|e| panic!("{e}")));
            true
        }
        found => {
            let required = std::env::var_os("OSSMARK_REQUIRE_GPU").is_some_and(|v| v == "1");
            assert!(
                !required,
                "OSSMARK_REQUIRE_GPU=1, and there is no CUDA device: {found:?}"
            );
            println!("{test}: SKIPPED on CUDA, no device");
            false
        }
    }
}

/// Makes a test of each case for the CPU and for CUDA.
macro_rules! on_each_device {
    ($($case:ident),* $(,)?) => {
        mod cpu {
            $(#[test]
            fn $case() {
                super::$case::<ossmark_engine::cpu::CpuOps>();
            })*
        }
        mod cuda {
            $(#[test]
            fn $case() {
                if crate::bench::has_cuda(concat!(module_path!(), "::", stringify!($case))) {
                    super::$case::<ossmark_engine::cuda::CudaOps>();
                }
            })*
        }
    };
}
pub(crate) use on_each_device;

/// Makes a test of each case for CUDA's reference kernels, where CUDA has special ones too.
macro_rules! and_reference {
    ($($case:ident),* $(,)?) => {
        mod cuda_reference {
            $(#[test]
            fn $case() {
                if crate::bench::has_cuda(concat!(module_path!(), "::", stringify!($case))) {
                    crate::bench::REFERENCE.set(true);
                    super::$case::<ossmark_engine::cuda::CudaOps>();
                }
            })*
        }
    };
}
pub(crate) use and_reference;

/// Makes a test of each case with keys and values in fp8, for the CPU, for CUDA and for CUDA's reference kernels.
macro_rules! and_fp8 {
    ($($case:ident),* $(,)?) => {
        mod fp8 {
            use ossmark_engine::KvDtype::Fp8;
            mod cpu {
                $(#[test]
                fn $case() {
                    crate::bench::KV.set(super::Fp8);
                    super::super::$case::<ossmark_engine::cpu::CpuOps>();
                })*
            }
            mod cuda {
                $(#[test]
                fn $case() {
                    if crate::bench::has_cuda(concat!(module_path!(), "::", stringify!($case))) {
                        crate::bench::KV.set(super::Fp8);
                        super::super::$case::<ossmark_engine::cuda::CudaOps>();
                    }
                })*
            }
            mod cuda_reference {
                $(#[test]
                fn $case() {
                    if crate::bench::has_cuda(concat!(module_path!(), "::", stringify!($case))) {
                        crate::bench::KV.set(super::Fp8);
                        crate::bench::REFERENCE.set(true);
                        super::super::$case::<ossmark_engine::cuda::CudaOps>();
                    }
                })*
            }
        }
    };
}
pub(crate) use and_fp8;

/// As this test's device keeps a key or value: for fp8, the nearest of all 253 numbers that e4m3 has (bias 7, largest
/// 448), the one with the even code of two.
pub(crate) fn kept(x: f64) -> f64 {
    if KV.get() == KvDtype::AsActivations {
        return x;
    }
    let number = |code: i32| match (code >> 3, f64::from(code & 7) / 8.0) {
        (0, fraction) => fraction / 64.0,
        (exponent, fraction) => (1.0 + fraction) * 2_f64.powi(exponent - 7),
    };
    let size = x.abs().min(448.0);
    let apart = |code: &i32| (number(*code) - size).abs();
    let nearest =
        (0..0x7f).min_by(|a, b| apart(a).total_cmp(&apart(b)).then((a & 1).cmp(&(b & 1))));
    number(nearest.unwrap()).copysign(x)
}

/// This run's seed, printed once.
pub(crate) fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| {
        let given = std::env::var("OSSMARK_TEST_SEED")
            .ok()
            .and_then(|s| s.parse().ok());
        let seed = given.unwrap_or_else(|| {
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap()
                .as_nanos() as u64
                >> 8
        });
        println!("OSSMARK_TEST_SEED={seed}");
        seed
    })
}

/// gpt-oss-120b's widths, with few experts and a short vocabulary.
pub(crate) fn real_widths() -> Tiny {
    Tiny {
        vocab: 96,
        hidden: 2880,
        inter: 2880,
        layers: "w",
        experts: 4,
        top_k: 4,
        heads: 64,
        kv_heads: 8,
        head_dim: 64,
        window: 128,
        ..Tiny::default()
    }
}

/// A folder with [`real_widths`], written once.
fn real_folder() -> &'static TempDir {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| real_widths().folder())
}

pub(crate) struct Bench<D: Device> {
    pub(crate) ops: D,
    pub(crate) m: Tiny,
    pub(crate) sources: ModelSources,
    random: Random,
    _folder: Option<TempDir>,
}

fn capacity(m: &Tiny, config: &ModelConfig) -> Capacity {
    Capacity {
        n_blocks: 1024,
        block_size: BLOCK.get(),
        window: config.window.map(|w| w as u32),
        has_full: true,
        max_step_tokens: 1024,
        max_seqs: 300,
        max_context: 4096,
        vocab_size: m.vocab as u32,
        draft_tokens: DRAFTS.get(),
    }
}

impl<D: Device> Bench<D> {
    pub(crate) fn new(m: &Tiny) -> Self {
        let folder = m.folder();
        let mut bench = Self::of(m, folder.path());
        bench._folder = Some(folder);
        bench
    }

    pub(crate) fn real() -> Self {
        Self::of(&real_widths(), real_folder().path())
    }

    fn of(m: &Tiny, dir: &std::path::Path) -> Self {
        let checkpoint = Checkpoint::open(dir).unwrap();
        let config = ModelConfig::load(checkpoint.dir()).unwrap();
        let sources = ModelSources::find(&checkpoint, &config).unwrap();
        Self {
            ops: D::open(&config, &capacity(m, &config)),
            m: m.clone(),
            sources,
            random: Random(seed()),
            _folder: None,
        }
    }

    /// bf16 numbers in -2 .. 2.
    pub(crate) fn random(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| round(2.0 * self.random.signed())).collect()
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.random.below(n)
    }

    /// A buffer with these rows.
    pub(crate) fn filled(&mut self, values: &[f32], cols: usize) -> D::Buf {
        let mut buf = self.ops.buf(values.len() / cols, cols).unwrap();
        self.ops.write(&mut buf, values).unwrap();
        buf
    }

    /// A buffer that is NaN all over.
    pub(crate) fn poisoned(&mut self, rows: usize, cols: usize) -> D::Buf {
        self.filled(&vec![f32::NAN; rows * cols], cols)
    }

    pub(crate) fn read(&mut self, buf: &D::Buf, rows: usize) -> Vec<f32> {
        self.ops.read(buf, rows).unwrap()
    }

    /// Begins a step of sequences `(start, rows)` whose blocks are scattered over the pool.
    pub(crate) fn begin(&mut self, seqs: &[(u32, usize)]) {
        let plan = self.plan(seqs);
        self.begin_plan(plan);
    }

    /// A plan of such sequences, all tokens 0, nothing to sample.
    pub(crate) fn plan(&mut self, seqs: &[(u32, usize)]) -> StepPlan {
        let mut next = 0;
        let mut table = |positions: u32| BlockTable {
            first_block: 0,
            blocks: (0..positions.div_ceil(BLOCK.get()))
                .map(|_| {
                    next += 1;
                    // 509 is odd, so that each of the 1024 blocks comes once.
                    next * 509 % 1024
                })
                .collect(),
        };
        let seq = |(slot, (start, rows)): (usize, &(u32, usize))| StepSeq {
            slot: slot as u32,
            start: *start,
            inputs: vec![InputToken::Known(0); *rows],
            full: table(start + *rows as u32),
            window: table(start + *rows as u32),
            sample: None,
            want_logits: false,
            ..StepSeq::default()
        };
        StepPlan {
            seqs: seqs.iter().enumerate().map(seq).collect(),
        }
    }

    pub(crate) fn begin_plan(&mut self, plan: StepPlan) {
        let batch = self.batch(&plan);
        self.ops.begin(&batch).unwrap();
    }

    pub(crate) fn batch(&self, plan: &StepPlan) -> StepBatch {
        StepBatch::new(plan, &capacity_of(&self.m)).unwrap_or_else(|e| panic!("{e}"))
    }
}

fn capacity_of(m: &Tiny) -> Capacity {
    Capacity {
        n_blocks: 1024,
        block_size: BLOCK.get(),
        window: Some(m.window as u32),
        has_full: true,
        max_step_tokens: 1024,
        max_seqs: 300,
        max_context: 4096,
        vocab_size: m.vocab as u32,
        draft_tokens: DRAFTS.get(),
    }
}

/// A plan in which every sequence's last row asks for a token.
pub(crate) fn sampling(mut plan: StepPlan, specs: &[SampleSpec]) -> StepPlan {
    for (seq, spec) in plan.seqs.iter_mut().zip(specs) {
        seq.sample = Some(*spec);
    }
    plan
}

pub(crate) fn round(x: f32) -> f32 {
    bf16::from_f32(x).to_f32()
}

pub(crate) fn f64s(x: &[f32]) -> Vec<f64> {
    x.iter().map(|x| f64::from(*x)).collect()
}

/// Each result within a step of bf16 of the exact one, and `slack` for f32 sums and for roundings inside the operation
/// that may fall to the other side; and a bf16 number. Prints the worst and its share of the tolerance. NaN never passes.
pub(crate) fn check(what: &str, got: &[f32], expected: &[f64], slack: f64) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let (mut worst, mut at) = (-1.0, 0);
    for (i, (g, e)) in got.iter().zip(expected).enumerate() {
        let share = (f64::from(*g) - e).abs() / (e.abs() / 256.0 + slack);
        if share.is_nan() || share > worst {
            (worst, at) = (share, i);
            if share.is_nan() {
                break;
            }
        }
        assert!(
            round(*g) == *g || g.is_nan(),
            "{what}: {g} at {i} is not a bf16 number"
        );
    }
    println!("{what}: {:.0}% of the tolerance, at {at}", worst * 100.0);
    assert!(
        worst <= 1.0,
        "{what}: {:.0}% of the tolerance at {at}: {} for {}; OSSMARK_TEST_SEED={}",
        worst * 100.0,
        got[at],
        expected[at],
        seed()
    );
}
