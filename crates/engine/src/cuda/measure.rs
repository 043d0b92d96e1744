//! Times of the operations at gpt-oss-120b's shape, on random weights made on the device. An operation is timed only when
//! its result agrees with the reference kernels'. Measurements only.

mod flush;
mod small;

use self::flush::Flush;
use super::buffer::CudaBuf;
use super::dense::synthetic::{Numbers, synthetic};
use super::driver::load_failed;
use super::fast::KernelSet;
use super::moe::routing::CudaRouting;
use super::ops::CudaOps;
use super::weights::{CudaExperts, CudaLinear, CudaVector};
use crate::batch::StepBatch;
use crate::config::{LayerKind, ModelConfig};
use crate::dtype::KvDtype;
use crate::executor::{
    BlockTable, Capacity, InputToken, SampleSpec, StepHandle, StepPlan, StepSeq,
};
use crate::load_error::LoadError;
use crate::ops::{KvLayer, OpResult, Ops};
use crate::weights::{ModelSources, Placement, Synthetic};
use ossmark_protocol::Sampling;

/// One measured operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Timing {
    /// The operation.
    pub op: String,
    /// What it worked on.
    pub shape: String,
    /// `best` as the engine launches it, or `reference`.
    pub kernels: &'static str,
    /// Median; `None` when the result was wrong and so was not timed.
    pub ms: Option<f64>,
    /// Fewest bytes that have to move.
    pub bytes: f64,
    /// Floating-point operations, a multiply-add counting two.
    pub flops: f64,
    /// Norm of the difference from the reference kernels, over theirs; 0 for reference ones.
    pub error: f64,
}

/// A relative error that rounding to bf16 can explain: between 1e-3 and 1e-2.
pub(super) const MAX_ERROR: f64 = 1e-2;
/// What is measured.
#[derive(Clone, Debug)]
pub struct MeasureSettings {
    /// Which device.
    pub device: u32,
    /// The shape; one layer of it is made.
    pub config: ModelConfig,
    /// Rows of a decode step.
    pub batches: Vec<usize>,
    /// Rows of a prefill step: products and experts alone.
    pub prefills: Vec<usize>,
    /// Positions before each decode row.
    pub context: usize,
    /// Runs for each median.
    pub runs: usize,
    /// Also time the reference kernels.
    pub reference: bool,
    /// Kernels made for speed that are not used.
    pub without: KernelSet,
    /// Of weights and inputs.
    pub seed: u32,
    /// Bytes that are read before each run, so that nothing of it is in the second-level cache: five times an H100's, unless
    /// the command itself is tried.
    pub flush_bytes: usize,
}

struct Bench<'a> {
    ops: CudaOps,
    flush: Flush,
    capacity: Capacity,
    settings: MeasureSettings,
    each: &'a mut dyn FnMut(Timing),
    random: u32,
}

type Work<'a> = &'a mut dyn FnMut(&mut CudaOps, &mut CudaBuf) -> OpResult;

/// Measures all operations, and gives each when it is measured: what comes after may fail, or take too long.
///
/// # Errors
/// No usable device, no room on it, or it failed.
pub fn measure(settings: MeasureSettings, each: &mut dyn FnMut(Timing)) -> Result<(), LoadError> {
    let mut config = settings.config.clone();
    config.layers = vec![LayerKind::Window, LayerKind::Full];
    config.max_context = settings.context + 16;
    let max = settings.batches.iter().copied().max().unwrap_or(1);
    let max_rows = settings.prefills.iter().copied().max().unwrap_or(1);
    config.max_context = config.max_context.max(max_rows);
    let per_seq = (settings.context + 1).div_ceil(16);
    let capacity = Capacity {
        n_blocks: (max * per_seq).max(max_rows.div_ceil(16)) as u32,
        block_size: 16,
        window: config.window.map(|w| w as u32),
        has_full: true,
        max_step_tokens: max.max(max_rows) as u32,
        max_seqs: max as u32,
        max_context: config.max_context as u32,
        vocab_size: config.vocab_size as u32,
        draft_tokens: 0,
    };
    let mut ops = CudaOps::open(&config, settings.device)?;
    ops.device.leave_out(settings.without);
    ops.plan(&capacity)?;
    let sources = ModelSources::synthetic(
        &config,
        Synthetic::seeded(settings.seed),
        Placement::OnDevice,
    )?;
    let flush = Flush::new(&mut ops, config.hidden, settings.flush_bytes)?;
    let mut b = Bench {
        ops,
        flush,
        capacity,
        random: settings.seed,
        settings,
        each,
    };
    b.fill_pool()?;
    let layer = &sources.layers[0];
    let (qkv, out) = (
        b.ops.linear_weights(&layer.attention.qkv)?,
        b.ops.linear_weights(&layer.attention.out)?,
    );
    let (router, head) = (
        b.ops.linear_weights(&layer.router)?,
        b.ops.linear_weights(&sources.lm_head)?,
    );
    let experts = b.ops.expert_weights(&layer.experts)?;
    let (norm, sinks) = (
        b.ops.vector(&sources.norm)?,
        b.ops.vector(&layer.attention.sinks)?,
    );
    for n in b.settings.batches.clone() {
        let c = config.clone();
        b.begin(n)?;
        let x = b.filled(n, c.hidden)?;
        let rows = n as f64;
        let width = |cols: usize| 2.0 * rows * cols as f64;
        for (name, w) in [
            ("linear qkv", &qkv),
            ("linear out", &out),
            ("linear router", &router),
            ("linear head", &head),
        ] {
            b.linear(name, w, n)?;
        }
        b.time(
            "rmsnorm",
            &format!("{n} rows"),
            (n, c.hidden),
            2.0 * width(c.hidden),
            3.0 * rows * c.hidden as f64,
            &mut |o, out| o.rmsnorm(&x, &norm, n, out),
        )?;
        b.experts(&experts, &c, n)?;
        b.small(n, &c, (&router, &norm))?;
        b.attention(n, &c, &sinks, "", false)?;
        b.sample(n, &c)?;
    }
    for n in b.settings.prefills.clone() {
        b.begin_prefill(n)?;
        for (name, w) in [("linear qkv", &qkv), ("linear out", &out)] {
            b.linear(name, w, n)?;
        }
        b.experts(&experts, &config, n)?;
        b.attention(n, &config, &sinks, "", true)?;
    }
    b.ops.set_kv_dtype(KvDtype::Fp8);
    b.ops.plan(&b.capacity)?;
    b.fill_pool()?;
    for n in b.settings.batches.clone() {
        b.begin(n)?;
        b.attention(n, &config, &sinks, ", fp8", false)?;
    }
    for n in b.settings.prefills.clone() {
        b.begin_prefill(n)?;
        b.attention(n, &config, &sinks, ", fp8", true)?;
    }
    Ok(())
}

impl Bench<'_> {
    /// Small numbers instead of whatever was there, which may be NaN.
    fn fill_pool(&self) -> Result<(), LoadError> {
        match &self.ops.planned {
            Some(planned) => planned
                .pool
                .fill(&self.ops.device, 0x3c)
                .map_err(load_failed),
            None => Ok(()),
        }
    }

    /// `kept` says how keys and values are kept, where it is not as bf16.
    fn attention(
        &mut self,
        n: usize,
        c: &ModelConfig,
        sinks: &CudaVector,
        kept: &str,
        prefill: bool,
    ) -> Result<(), LoadError> {
        let rows = n as f64;
        let q = self.filled(n, c.qkv_dim())?;
        let element = if kept.is_empty() { 2.0 } else { 1.0 };
        let window = c.window.unwrap_or(usize::MAX);
        for (name, kind, max) in [
            ("attention full", LayerKind::Full, usize::MAX),
            ("attention window", LayerKind::Window, window),
        ] {
            // Positions that rows see, all together, and that have to be read.
            let context = self.settings.context + 1;
            let (seen, read, shape) = if prefill {
                let seen: usize = (1..=n).map(|at| at.min(max)).sum();
                (seen as f64, rows, format!("{n} rows of prefill"))
            } else {
                let seen = context.min(max);
                (
                    rows * seen as f64,
                    rows * seen as f64,
                    format!("{n} rows at {seen}"),
                )
            };
            let bytes = 2.0 * element * read * (c.kv_heads * c.head_dim) as f64
                + 2.0 * rows * (c.qkv_dim() + c.q_dim()) as f64;
            let flops = 4.0 * seen * c.q_dim() as f64;
            let layer = KvLayer { kind, index: 0 };
            self.time(
                &format!("{name}{kept}"),
                &shape,
                (n, c.q_dim()),
                bytes,
                flops,
                &mut |o, out| o.attention(&q, layer, sinks, out),
            )?;
        }
        Ok(())
    }

    /// A decode step of `n` rows.
    fn begin(&mut self, n: usize) -> Result<(), LoadError> {
        let per_seq = (self.settings.context + 1).div_ceil(16) as u32;
        let seqs = (0..n as u32).map(|i| {
            let blocks = (i * per_seq..(i + 1) * per_seq).collect();
            seq(i, self.settings.context as u32, 1, blocks)
        });
        self.begin_seqs(seqs.collect())
    }

    /// The first `n` rows of one sequence.
    fn begin_prefill(&mut self, n: usize) -> Result<(), LoadError> {
        let blocks = (0..n.div_ceil(16) as u32).collect();
        self.begin_seqs(vec![seq(0, 0, n, blocks)])
    }

    fn begin_seqs(&mut self, seqs: Vec<StepSeq>) -> Result<(), LoadError> {
        let plan = StepPlan { seqs };
        let without_window = Capacity {
            window: None,
            ..self.capacity
        };
        let mut batch = StepBatch::new(&plan, &without_window).map_err(load_failed)?;
        for s in &mut batch.seqs {
            // The same blocks for both groups, so that the pool need not be twice as large; nothing is written.
            s.window = s.full;
        }
        self.ops.begin(&batch).map_err(load_failed)
    }

    /// A dense product of `n` rows.
    fn linear(&mut self, name: &str, w: &CudaLinear, n: usize) -> Result<(), LoadError> {
        let input = self.filled(n, w.cols)?;
        let (rows, matrix) = (n as f64, w.outs as f64 * w.cols as f64);
        let bytes = 2.0 * (matrix + rows * (w.cols + w.outs) as f64);
        self.time(
            name,
            &format!("{n} rows"),
            (n, w.outs),
            bytes,
            2.0 * rows * matrix,
            &mut |o, out| o.linear(&input, w, n, out),
        )
    }

    /// Choice, schedule and both products of a layer's experts for `n` rows.
    fn experts(&mut self, w: &CudaExperts, c: &ModelConfig, n: usize) -> Result<(), LoadError> {
        let (x, logits) = (self.filled(n, c.hidden)?, self.filled(n, c.experts)?);
        let mut routing = self.ops.routing(n)?;
        self.ops.route(&logits, &mut routing).map_err(load_failed)?;
        let touched = self.touched(&routing, n)? as f64;
        let expert = 3.0 * (c.intermediate * c.hidden) as f64;
        let biases = 2.0 * (2 * c.intermediate + c.hidden) as f64;
        let bytes = touched * (expert * 17.0 / 32.0 + biases) + 4.0 * (n * c.hidden) as f64;
        self.time(
            "experts with route",
            &format!("{n} rows, {touched} experts"),
            (n, c.hidden),
            bytes,
            2.0 * (n * c.top_k) as f64 * expert,
            &mut |o, out| {
                o.route(&logits, &mut routing)?;
                o.moe_gate_up(&x, w, &mut routing)?;
                o.moe_down(&mut routing, w, out)
            },
        )
    }

    /// Random bf16 numbers in -1 .. 1.
    fn filled(&mut self, rows: usize, cols: usize) -> Result<CudaBuf, LoadError> {
        self.random = self.random.wrapping_mul(747_796_405).wrapping_add(1);
        let buf = self.ops.buf(rows, cols)?;
        let random = crate::weights::Random {
            seed: self.random,
            middle: 0.0,
            spread: 1.0,
        };
        synthetic(
            &self.ops.device,
            Numbers::Bf16,
            random,
            &buf.memory,
            0,
            rows * cols,
        )
        .map_err(load_failed)?;
        Ok(buf)
    }

    /// Experts that at least one row goes to.
    fn touched(&self, routing: &CudaRouting, rows: usize) -> Result<usize, LoadError> {
        let mut bytes = vec![0; rows * routing.top_k * 4];
        self.ops
            .device
            .read(&routing.chosen, &mut bytes)
            .map_err(load_failed)?;
        let mut chosen: Vec<_> = bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| u32::from_le_bytes(*b))
            .collect();
        chosen.sort_unstable();
        chosen.dedup();
        Ok(chosen.len())
    }

    fn time(
        &mut self,
        op: &str,
        shape: &str,
        (rows, cols): (usize, usize),
        bytes: f64,
        flops: f64,
        work: Work<'_>,
    ) -> Result<(), LoadError> {
        let mut out = self.ops.buf(rows, cols)?;
        let mut results = Vec::new();
        for reference in [true, false] {
            self.ops.reference = reference;
            self.ops
                .device
                .fill(&out.memory, 0xff)
                .map_err(load_failed)?;
            work(&mut self.ops, &mut out).map_err(load_failed)?;
            results.push(self.ops.read(&out, rows).map_err(load_failed)?);
        }
        let error = relative_error(&results[1], &results[0]);
        for (kernels, reference) in [("best", false), ("plain", true)] {
            if reference && !self.settings.reference {
                continue;
            }
            self.ops.reference = reference;
            // NaN is no agreement.
            let right = error <= MAX_ERROR;
            let ms = if right {
                Some(self.median(&mut out, work)?)
            } else {
                None
            };
            let (op, shape) = (op.to_owned(), shape.to_owned());
            (self.each)(Timing {
                op,
                shape,
                kernels,
                ms,
                bytes,
                flops,
                error: if reference { 0.0 } else { error },
            });
        }
        self.ops.reference = false;
        Ok(())
    }

    fn median(&mut self, out: &mut CudaBuf, work: Work<'_>) -> Result<f64, LoadError> {
        let mut times = Vec::new();
        for _ in 0..self.settings.runs.max(1) {
            self.flush.evict(&mut self.ops).map_err(load_failed)?;
            times.push(f64::from(
                self.ops.time_ms(|o| work(o, out)).map_err(load_failed)?,
            ));
        }
        times.sort_by(f64::total_cmp);
        Ok(times[times.len() / 2])
    }

    /// Sampling gives tokens, not a buffer; plain and best are one kernel.
    fn sample(&mut self, n: usize, c: &ModelConfig) -> Result<(), LoadError> {
        let logits = self.filled(n, c.vocab_size)?;
        let mut nothing = self.ops.buf(1, 8)?;
        let ms = self.median(&mut nothing, &mut |o, _| o.sample(&logits, 0..n))?;
        self.ops.end(StepHandle(0)).map_err(load_failed)?;
        let tokens = self.ops.tokens(StepHandle(0)).map_err(load_failed)?;
        let right = tokens.iter().all(|t| (*t as usize) < c.vocab_size);
        (self.each)(Timing {
            op: "sample".into(),
            shape: format!("{n} rows of {}", c.vocab_size),
            kernels: "best",
            ms: right.then_some(ms),
            bytes: 2.0 * (n * c.vocab_size) as f64,
            flops: 0.0,
            error: 0.0,
        });
        Ok(())
    }
}

fn seq(slot: u32, start: u32, rows: usize, blocks: Vec<u32>) -> StepSeq {
    let sampling = Sampling {
        temperature: 1.0,
        top_p: 1.0,
        top_k: 0,
    };
    StepSeq {
        slot,
        start,
        inputs: vec![InputToken::Known(1); rows],
        full: BlockTable {
            first_block: 0,
            blocks,
        },
        window: BlockTable::default(),
        sample: Some(SampleSpec {
            sampling,
            uniform: 0.5,
        }),
        want_logits: false,
        ..StepSeq::default()
    }
}

/// Norm of the difference, over the norm of `b`.
pub(super) fn relative_error(a: &[f32], b: &[f32]) -> f64 {
    let square = |x: f64| x * x;
    let apart: f64 = a
        .iter()
        .zip(b)
        .map(|(a, b)| square(f64::from(*a) - f64::from(*b)))
        .sum();
    let size: f64 = b.iter().map(|b| square(f64::from(*b))).sum();
    if apart == 0.0 {
        return 0.0;
    }
    (apart / size).sqrt()
}
