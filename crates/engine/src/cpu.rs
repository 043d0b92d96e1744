//! [`Ops`] on the CPU: the reference that every device is compared with, fast enough for small models.
//!
//! Activations are f32 in memory in both modes; bf16 mode rounds where [`Ops`] says. Weights stay in their memory maps
//! as shipped and are decoded row by row.

mod attention;
mod bound;
mod crew;
mod draft;
mod experts;
mod lanes;
pub(crate) mod load;
mod pointwise;
mod product;
mod repack;
mod sample;
#[allow(
    unsafe_code,
    reason = "the one module that calls instructions not every processor has; each block says why it may"
)]
#[allow(
    clippy::needless_range_loop,
    reason = "an index is a register here, of several arrays at once"
)]
mod simd;
mod tiles;
mod tokens;
mod weights;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use self::attention::{Attention, KvPool};
pub use self::bound::{CpuBound, StepWork};
use self::crew::Crew;
pub use self::experts::CpuRouting;
use self::experts::swiglu;
use self::lanes::{LANES, Lanes, Rounding, Vectors};
use self::pointwise::Rotation;
use self::product::{Rows, compute, split};
pub use self::repack::Repack;
use self::simd::PANEL;
pub use self::simd::Simd;
pub use self::tiles::Tiles;
use self::tokens::KeptTokens;
pub use self::weights::{CpuExperts, CpuLinear};
use crate::batch::StepBatch;
use crate::config::ModelConfig;
use crate::dtype::KvDtype;
use crate::executor::{Capacity, ExecError, InputToken, StepHandle};
use crate::load_error::LoadError;
use crate::ops::{KvLayer, OpResult, Ops};
use crate::rope::Rope;
use crate::weights::{DenseTensor, ExpertSources, LinearSource};
use ossmark_protocol::TokenId;

/// Bytes of one KV block.
#[must_use]
pub fn kv_block_bytes(config: &ModelConfig, block_size: usize) -> usize {
    4 * attention::block_elements(
        config.group_layers(),
        block_size,
        config.kv_heads,
        config.head_dim,
    )
}

/// The CPU as a device.
pub struct CpuOps {
    simd: Simd,
    /// Whether experts are copied into another order as they are taken.
    repack: bool,
    vectors: Vectors,
    crew: Arc<Crew>,
    rounding: Rounding,
    config: ModelConfig,
    rope: Rope,
    kv: KvPool,
    batch: StepBatch,
    /// Of the step's tiles, `head_dim / 2` each.
    rotations: Vec<Rotation>,
    /// The metadata of a head's passes.
    passes: Vec<StepBatch>,
    tokens: KeptTokens,
    sampled: Vec<TokenId>,
    ended: VecDeque<(StepHandle, Vec<TokenId>)>,
}

impl CpuOps {
    /// Plans the KV pool and the slots of `capacity`; `bf16` rounds activations.
    ///
    /// # Errors
    /// [`LoadError::NoMemory`]; what [`Simd::from_environment`] says.
    pub fn new(
        config: &ModelConfig,
        capacity: &Capacity,
        bf16: bool,
        threads: usize,
    ) -> Result<Self, LoadError> {
        let rope = Rope::new(config.head_dim, config.rope_theta, config.yarn.as_ref());
        Self::with_rope(config, rope, capacity, bf16, &Arc::new(Crew::new(threads)?))
    }

    /// The same with another rotary embedding than the configuration's.
    ///
    /// # Errors
    /// [`LoadError::NoMemory`].
    fn with_rope(
        config: &ModelConfig,
        rope: Rope,
        capacity: &Capacity,
        bf16: bool,
        crew: &Arc<Crew>,
    ) -> Result<Self, LoadError> {
        let block_size = capacity.block_size as usize;
        let layers = config.group_layers();
        let simd = Simd::from_environment()?;
        Ok(Self {
            simd,
            repack: false,
            vectors: Vectors::new(simd.is_plain()),
            crew: Arc::clone(crew),
            rounding: Rounding { bf16 },
            rope,
            kv: KvPool::new(
                capacity.n_blocks as usize,
                layers,
                block_size,
                config.kv_heads,
                config.head_dim,
                config.window,
            )?,
            config: config.clone(),
            batch: StepBatch::default(),
            rotations: Vec::new(),
            passes: Vec::new(),
            tokens: KeptTokens::new(capacity),
            sampled: Vec::new(),
            ended: VecDeque::new(),
        })
    }

    /// How keys and values are kept from here on.
    pub fn set_kv_dtype(&mut self, kv: KvDtype) {
        self.kv.fp8 = kv == KvDtype::Fp8;
    }

    /// Computes with other instructions from here on.
    pub fn set_simd(&mut self, simd: Simd) {
        self.simd = simd;
        self.vectors = Vectors::new(simd.is_plain());
    }

    /// Copies the experts that are taken from here on into the order in which they are read.
    pub fn set_repack(&mut self, copied: bool) {
        self.repack = copied;
    }

    /// Which instructions compute.
    #[must_use]
    pub fn simd(&self) -> Simd {
        self.simd
    }

    /// Jobs to cut each of `matrices` products into: some more than threads, so that they end together; one where `work`, of
    /// all of them, is not shared out.
    fn parts(&self, matrices: usize, work: usize) -> usize {
        match self.crew.threads(work) {
            1 => 1,
            threads => (4 * threads).div_ceil(matrices.max(1)),
        }
    }
}

impl Ops for CpuOps {
    type Buf = Tiles;
    type Vector = Vec<f32>;
    type Linear = CpuLinear;
    type Experts = CpuExperts;
    type Routing = CpuRouting;

    fn vector(&mut self, source: &DenseTensor) -> Result<Vec<f32>, LoadError> {
        Ok(source.to_vec())
    }

    fn linear_weights(&mut self, source: &LinearSource) -> Result<CpuLinear, LoadError> {
        CpuLinear::new(source)
    }

    fn expert_weights(&mut self, source: &ExpertSources) -> Result<CpuExperts, LoadError> {
        CpuExperts::new(&self.config, source, self.repack.then_some(&*self.crew))
    }

    fn buf(&mut self, rows: usize, cols: usize) -> Result<Tiles, LoadError> {
        Tiles::new(rows, cols)
    }

    fn routing(&mut self, rows: usize) -> Result<CpuRouting, LoadError> {
        let c = &self.config;
        CpuRouting::new(rows, c.top_k, c.experts, c.hidden, c.intermediate)
    }

    fn begin(&mut self, batch: &StepBatch) -> OpResult {
        self.batch.clone_from(batch);
        self.sampled.clear();
        self.rotations.clear();
        for positions in batch.positions.chunks(LANES) {
            for f in &self.rope.inv_freq {
                let mut rotation = Rotation {
                    cos: Lanes::ZERO,
                    sin: Lanes::ZERO,
                };
                for (l, p) in positions.iter().enumerate() {
                    // The angle is rounded to f32 before it is used, as in Hugging Face's code.
                    let (sin, cos) = (*p as f32 * f).sin_cos();
                    rotation.cos.0[l] = cos * self.rope.concentration;
                    rotation.sin.0[l] = sin * self.rope.concentration;
                }
                self.rotations.push(rotation);
            }
        }
        Ok(())
    }

    fn end(&mut self, step: StepHandle) -> OpResult {
        let mut tokens = std::mem::take(&mut self.sampled);
        let kept = self.tokens.lock()?;
        tokens.extend_from_slice(&kept[self.tokens.places.drafted()]);
        self.ended.push_back((step, tokens));
        Ok(())
    }

    fn tokens(&mut self, step: StepHandle) -> Result<Vec<TokenId>, ExecError> {
        match self.ended.pop_front() {
            Some((ended, tokens)) if ended == step => Ok(tokens),
            _ => Err(ExecError::out_of_order(step)),
        }
    }

    fn read(&mut self, buf: &Tiles, rows: usize) -> Result<Vec<f32>, ExecError> {
        Ok((0..rows).flat_map(|r| buf.row(r)).collect())
    }

    fn write(&mut self, buf: &mut Tiles, values: &[f32]) -> OpResult {
        for (r, row) in values.chunks_exact(buf.cols).enumerate() {
            buf.row_mut(r).zip(row).for_each(|(to, from)| *to = *from);
        }
        Ok(())
    }

    fn embed(&mut self, table: &CpuLinear, out: &mut Tiles) -> OpResult {
        let mut row = vec![0.0; table.cols];
        let tokens = self.tokens.lock()?;
        for (r, input) in self.batch.tokens.iter().enumerate() {
            let token = match *input {
                InputToken::Known(t) => t,
                InputToken::FromPrevious(place) => tokens[place as usize],
            } as usize;
            table.decode_row(if token < table.rows { token } else { 0 }, &mut row);
            out.row_mut(r).zip(&row).for_each(|(to, from)| *to = *from);
        }
        Ok(())
    }

    fn rmsnorm(&mut self, x: &Tiles, weight: &Vec<f32>, rows: usize, out: &mut Tiles) -> OpResult {
        let (cols, eps, rounding, vectors) =
            (x.cols, self.config.norm_eps, self.rounding, self.vectors);
        let jobs = x
            .first(rows)
            .chunks_exact(cols)
            .zip(out.first_mut(rows).chunks_exact_mut(cols))
            .collect();
        self.crew.run(jobs, rows * cols, |(x, out)| {
            vectors.run(
                #[inline(always)]
                || pointwise::rmsnorm(x, weight, eps, rounding, out),
            )
        });
        Ok(())
    }

    fn add(&mut self, x: &mut Tiles, delta: &Tiles) -> OpResult {
        let (cols, rows, rounding, vectors) =
            (x.cols, self.batch.rows(), self.rounding, self.vectors);
        let jobs = x
            .first_mut(rows)
            .chunks_exact_mut(cols)
            .zip(delta.first(rows).chunks_exact(cols))
            .collect();
        self.crew.run(jobs, rows * cols, |(x, delta)| {
            vectors.run(
                #[inline(always)]
                || pointwise::add(x, delta, rounding),
            )
        });
        Ok(())
    }

    fn linear(&mut self, x: &Tiles, w: &CpuLinear, rows: usize, out: &mut Tiles) -> OpResult {
        let rounding = self.rounding;
        let mut jobs = Vec::new();
        split(
            &mut jobs,
            0,
            (w.rows, 1, self.parts(1, rows * w.rows * w.cols)),
            Rows {
                tiles: x.first(rows),
                n: rows,
            },
            out.first_mut(rows),
        );
        compute(
            (&self.crew, self.simd, self.vectors),
            jobs,
            (w.cols, 1),
            |_, rows| w.panel(rows),
            #[inline(always)]
            |_, first, sums: &[Lanes], out: &mut [Lanes]| {
                for (r, (o, sum)) in out.iter_mut().zip(sums).enumerate() {
                    let bias = w.bias.get(first + r).copied().unwrap_or(0.0);
                    *o = rounding.apply(sum.plus(bias));
                }
            },
        );
        Ok(())
    }

    fn rope(&mut self, qkv: &mut Tiles) -> OpResult {
        let c = &self.config;
        let (cols, rows, rounding, vectors) =
            (qkv.cols, self.batch.rows(), self.rounding, self.vectors);
        let (rotated, half) = ((c.heads + c.kv_heads) * c.head_dim, c.head_dim / 2);
        let jobs = qkv
            .first_mut(rows)
            .chunks_exact_mut(cols)
            .zip(self.rotations.chunks_exact(half))
            .collect();
        self.crew.run(jobs, rows * cols, |(tile, rotations)| {
            vectors.run(
                #[inline(always)]
                || pointwise::rope(&mut tile[..rotated], rotations, rounding),
            );
        });
        Ok(())
    }

    fn kv_write(&mut self, qkv: &Tiles, layer: KvLayer) -> OpResult {
        self.kv.write(qkv, layer, &self.batch);
        Ok(())
    }

    fn attention(
        &mut self,
        qkv: &Tiles,
        layer: KvLayer,
        sinks: &Vec<f32>,
        out: &mut Tiles,
    ) -> OpResult {
        let (kv_heads, vectors) = (self.config.kv_heads, self.vectors);
        let attention = Attention {
            pool: &self.kv,
            qkv,
            layer,
            sinks,
            batch: &self.batch,
            rounding: self.rounding,
        };
        let (rows, cols) = (self.batch.rows(), out.cols);
        let seen: usize = self.batch.positions.iter().map(|p| *p as usize + 1).sum();
        let jobs = out
            .first_mut(rows)
            .chunks_exact_mut(cols / kv_heads)
            .enumerate()
            .collect();
        self.crew.run(jobs, 2 * seen * cols, |(i, out)| {
            attention.head(vectors, i / kv_heads, i % kv_heads, out)
        });
        Ok(())
    }

    fn route(&mut self, logits: &Tiles, routing: &mut CpuRouting) -> OpResult {
        let rows = self.batch.rows();
        self.vectors.run(
            #[inline(always)]
            || routing.route(logits, rows),
        );
        Ok(())
    }

    fn moe_gate_up(&mut self, x: &Tiles, w: &CpuExperts, routing: &mut CpuRouting) -> OpResult {
        routing.gather(&self.crew, x);
        let (rounding, limit, rows) = (
            self.rounding,
            self.config.swiglu_limit,
            2 * self.config.intermediate,
        );
        let work = self.batch.rows() * self.config.top_k * rows * x.cols;
        let jobs = routing.up_jobs(self.parts(routing.groups.len(), work));
        compute(
            (&self.crew, self.simd, self.vectors),
            jobs,
            (x.cols, 2),
            |e, range| w.up.panel(e, range),
            #[inline(always)]
            |e, first, sums: &[Lanes], out: &mut [Lanes]| {
                let mut bias = [0.0; PANEL];
                w.up_bias
                    .decode(e * rows + first, &mut bias[..2 * out.len()]);
                for (i, o) in out.iter_mut().enumerate() {
                    let gate = rounding.apply(sums[2 * i].plus(bias[2 * i]));
                    let up = rounding.apply(sums[2 * i + 1].plus(bias[2 * i + 1]));
                    *o = rounding.apply(swiglu(gate, up, limit));
                }
            },
        );
        Ok(())
    }

    fn moe_down(&mut self, routing: &mut CpuRouting, w: &CpuExperts, out: &mut Tiles) -> OpResult {
        let (rounding, vectors, rows) = (self.rounding, self.vectors, self.config.hidden);
        let work = self.batch.rows() * self.config.top_k * rows * self.config.intermediate;
        let jobs = routing.down_jobs(self.parts(routing.groups.len(), work));
        compute(
            (&self.crew, self.simd, vectors),
            jobs,
            (self.config.intermediate, 1),
            |e, range| w.down.panel(e, range),
            #[inline(always)]
            |e, first, sums: &[Lanes], out: &mut [Lanes]| {
                let mut bias = [0.0; PANEL];
                w.down_bias.decode(e * rows + first, &mut bias[..out.len()]);
                for ((o, sum), bias) in out.iter_mut().zip(sums).zip(bias) {
                    *o = rounding.apply(sum.plus(bias));
                }
            },
        );
        let n = self.batch.rows();
        let jobs: Vec<_> = out
            .first_mut(n)
            .chunks_exact_mut(rows)
            .enumerate()
            .collect();
        let routing = &*routing;
        self.crew
            .run(jobs, n * rows * routing.top_k, |(tile, out)| {
                vectors.run(
                    #[inline(always)]
                    || routing.combine(tile, rounding, out),
                )
            });
        Ok(())
    }

    fn gather_rows(&mut self, x: &Tiles, logit_rows: Range<usize>, out: &mut Tiles) -> OpResult {
        for (to, from) in self.batch.logit_rows[logit_rows].iter().enumerate() {
            out.row_mut(to)
                .zip(x.row(from.row as usize))
                .for_each(|(to, from)| *to = from);
        }
        Ok(())
    }

    fn sample(&mut self, logits: &Tiles, logit_rows: Range<usize>) -> OpResult {
        let wanted = self.batch.logit_rows[logit_rows]
            .iter()
            .enumerate()
            .filter_map(|(i, h)| Some((i, h.sample?)));
        let wanted: Vec<_> = wanted.collect();
        let first = self.sampled.len();
        self.sampled.resize(first + wanted.len(), 0);
        let vectors = self.vectors;
        let jobs: Vec<_> = wanted.iter().zip(&mut self.sampled[first..]).collect();
        self.crew.run(
            jobs,
            wanted.len() * logits.cols * 16,
            |((row, (_, spec)), token)| {
                let mut logits: Vec<f32> = logits.row(*row).collect();
                *token = vectors.run(
                    #[inline(always)]
                    || sample::sample(&mut logits, spec),
                );
            },
        );
        let mut tokens = self.tokens.lock()?;
        for ((_, (place, _)), token) in wanted.iter().zip(&self.sampled[first..]) {
            tokens[*place as usize] = *token;
        }
        Ok(())
    }
}
