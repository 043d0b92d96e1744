//! [`DraftOps`] on the CPU.

use super::lanes::{Lanes, Rounding};
use super::product::run;
use super::tiles::Tiles;
use super::{CpuOps, sample};
use crate::executor::{ExecError, SampleSpec};
use crate::load_error::LoadError;
use crate::ops::{DraftOps, OpResult};
use ossmark_protocol::{Sampling, TokenId};

impl DraftOps for CpuOps {
    fn no_sinks(&mut self, heads: usize) -> Result<Vec<f32>, LoadError> {
        Ok(vec![f32::NEG_INFINITY; heads])
    }

    fn copy_rows(
        &mut self,
        from: &Tiles,
        rows: &[(usize, usize)],
        to: &mut Tiles,
        column: usize,
    ) -> OpResult {
        for (source, target) in rows {
            let into = to.row_mut(*target).skip(column);
            into.zip(from.row(*source))
                .for_each(|(to, from)| *to = from);
        }
        Ok(())
    }

    fn silu_mul(&mut self, gate_up: &Tiles, rows: usize, out: &mut Tiles) -> OpResult {
        let (width, rounding, vectors) = (out.cols, self.rounding, self.vectors);
        let jobs = gate_up
            .first(rows)
            .chunks_exact(2 * width)
            .zip(out.first_mut(rows).chunks_exact_mut(width))
            .collect();
        run(jobs, rows * width * 16, |(gate_up, out)| {
            vectors.run(
                #[inline(always)]
                || silu_mul(gate_up, rounding, out),
            );
        });
        Ok(())
    }

    fn argmax(&mut self, logits: &Tiles, rows: usize) -> Result<Vec<TokenId>, ExecError> {
        let mut tokens = vec![0; rows];
        let vectors = self.vectors;
        let greedy = SampleSpec {
            sampling: Sampling::GREEDY,
            uniform: 0.0,
        };
        let jobs: Vec<_> = tokens.iter_mut().enumerate().collect();
        run(jobs, rows * logits.cols * 2, |(row, token)| {
            let mut logits: Vec<f32> = logits.row(row).collect();
            *token = vectors.run(
                #[inline(always)]
                || sample::sample(&mut logits, &greedy),
            );
        });
        Ok(tokens)
    }
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
