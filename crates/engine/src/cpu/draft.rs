//! [`DraftOps`] on the CPU.

use super::lanes::{Lanes, Rounding};
use super::tiles::Tiles;
use super::weights::CpuLinear;
use super::{CpuOps, sample};
use crate::batch::{NO_SEQ, Stand, StepBatch};
use crate::config::ModelConfig;
use crate::executor::{Capacity, ExecError, SampleSpec, accepted};
use crate::load_error::LoadError;
use crate::ops::{DraftOps, OpResult, Ops};
use crate::rope::Rope;
use ossmark_protocol::{Sampling, TokenId};

impl CpuOps {
    /// Operations of a draft head for this model, with another rotary embedding than the configuration's.
    ///
    /// # Errors
    /// [`LoadError::NoMemory`].
    pub(crate) fn beside(
        &self,
        config: &ModelConfig,
        rope: Rope,
        capacity: &Capacity,
    ) -> Result<Self, LoadError> {
        let mut ops = Self::with_rope(config, rope, capacity, self.rounding.bf16, &self.crew)?;
        ops.kv.fp8 = self.kv.fp8;
        ops.set_simd(self.simd);
        ops.tokens = self.tokens.clone();
        Ok(ops)
    }
}

impl DraftOps for CpuOps {
    type TokenTable = Vec<TokenId>;
    /// The logits.
    type Guesses = Tiles;

    fn no_sinks(&mut self, heads: usize) -> Result<Vec<f32>, LoadError> {
        Ok(vec![f32::NEG_INFINITY; heads])
    }

    fn token_table(&mut self, tokens: &[TokenId]) -> Result<Vec<TokenId>, LoadError> {
        Ok(tokens.to_vec())
    }

    fn guesses(&mut self, rows: usize, vocab: usize) -> Result<Tiles, LoadError> {
        Tiles::new(rows, vocab)
    }

    fn begin_passes(&mut self, passes: &[StepBatch]) -> OpResult {
        self.passes = passes.to_vec();
        Ok(())
    }

    fn enter_pass(&mut self, number: usize) -> OpResult {
        let Some(pass) = self.passes.get_mut(number).map(std::mem::take) else {
            return Err(ExecError(format!("pass {number}, which was not begun")));
        };
        self.begin(&pass)
    }

    fn copy_columns(&mut self, from: &Tiles, to: &mut Tiles, column: usize) -> OpResult {
        let rows = self.batch.rows();
        let tiles = from.first(rows).chunks_exact(from.cols);
        let cols = to.cols;
        for (from, to) in tiles.zip(to.first_mut(rows).chunks_exact_mut(cols)) {
            to[column..][..from.len()].copy_from_slice(from);
        }
        Ok(())
    }

    fn gather_states(&mut self, states: &Tiles, out: &mut Tiles) -> OpResult {
        for (row, seq) in self.batch.seq_of_row.iter().enumerate() {
            if let Some(seq) = self.batch.seqs.get(*seq as usize) {
                copy_row(states, seq.slot as usize, out, row);
            }
        }
        Ok(())
    }

    fn silu_mul(&mut self, gate_up: &Tiles, out: &mut Tiles) -> OpResult {
        let (rows, width) = (self.batch.rows(), out.cols);
        let (rounding, vectors) = (self.rounding, self.vectors);
        let jobs = gate_up
            .first(rows)
            .chunks_exact(2 * width)
            .zip(out.first_mut(rows).chunks_exact_mut(width))
            .collect();
        self.crew.run(jobs, rows * width * 16, |(gate_up, out)| {
            vectors.run(
                #[inline(always)]
                || silu_mul(gate_up, rounding, out),
            );
        });
        Ok(())
    }

    fn draft(
        &mut self,
        x: &Tiles,
        w: &CpuLinear,
        table: Option<&Vec<TokenId>>,
        number: usize,
        guesses: &mut Tiles,
    ) -> OpResult {
        let rows = self.batch.rows();
        self.linear(x, w, rows, guesses)?;
        let mut tokens = vec![0; rows];
        let (logits, vectors) = (&*guesses, self.vectors);
        let greedy = SampleSpec {
            sampling: Sampling::GREEDY,
            uniform: 0.0,
        };
        let jobs: Vec<_> = tokens.iter_mut().enumerate().collect();
        self.crew.run(jobs, rows * logits.cols * 2, |(row, token)| {
            let mut logits: Vec<f32> = logits.row(row).collect();
            *token = vectors.run(
                #[inline(always)]
                || sample::sample(&mut logits, &greedy),
            );
        });
        let mut kept = self.tokens.lock()?;
        for (token, seq) in tokens.into_iter().zip(&self.batch.seq_of_row) {
            if *seq != NO_SEQ {
                // Out of range after logits that are not finite: it stays what it is.
                let of_target = table.and_then(|t| t.get(token as usize)).copied();
                let slot = self.batch.seqs[*seq as usize].slot;
                kept[self.tokens.places.draft(slot, number as u32) as usize] =
                    of_target.unwrap_or(token);
            }
        }
        Ok(())
    }

    fn largest(
        &mut self,
        x: &Tiles,
        w: &CpuLinear,
        rows: usize,
        guesses: &mut Tiles,
    ) -> Result<Vec<f32>, ExecError> {
        self.linear(x, w, rows, guesses)?;
        let of_row = |row| guesses.row(row).fold(f32::NEG_INFINITY, f32::max);
        Ok((0..rows).map(of_row).collect())
    }

    fn accept(&mut self, x: &Tiles, states: &mut Tiles) -> OpResult {
        let mut tokens = self.tokens.lock()?;
        for seq in &self.batch.seqs {
            let drafts = seq.drafts as usize;
            let choice = |n: usize| self.tokens.places.choice(seq.slot, n as u32) as usize;
            let stand = match seq.stand {
                Stand::Nothing => continue,
                Stand::Given(n) => n as usize,
                Stand::Chosen => {
                    let drafted =
                        &tokens[self.tokens.places.draft(seq.slot, 0) as usize..][..drafts];
                    accepted(drafted, &tokens[choice(0)..][..=drafts])
                }
            };
            tokens[seq.slot as usize] = tokens[choice(stand)];
            let first = (seq.first_row + seq.rows) as usize - 1 - drafts;
            copy_row(x, first + stand, states, seq.slot as usize);
        }
        Ok(())
    }
}

fn copy_row(from: &Tiles, source: usize, to: &mut Tiles, target: usize) {
    let into = to.row_mut(target);
    into.zip(from.row(source)).for_each(|(to, from)| *to = from);
}

#[inline(always)]
fn silu_mul(gate_up: &[Lanes], rounding: Rounding, out: &mut [Lanes]) {
    let (gate, up) = gate_up.split_at(out.len());
    for ((o, g), u) in out.iter_mut().zip(gate).zip(up) {
        let decay = g
            .map(
                #[inline(always)]
                |g| -g,
            )
            .exp();
        let silu = g.zip(
            decay,
            #[inline(always)]
            |g, d| g / (1.0 + d),
        );
        *o = rounding.apply(silu.zip(
            *u,
            #[inline(always)]
            |s, u| s * u,
        ));
    }
}
