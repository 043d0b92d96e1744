//! [`DraftOps`] on a CUDA device.

use super::attention::args::Context;
use super::buffer::CudaBuf;
use super::dense::args::Linear;
use super::draft::args::{Argmax, CudaGuesses};
use super::draft::draft_argmax::CudaTokenTable;
use super::draft::{accept_drafts, copy_rows, draft_argmax, silu_mul};
use super::driver::load_failed;
use super::ops::CudaOps;
use super::select;
use super::weights::{CudaLinear, CudaVector};
use crate::batch::StepBatch;
use crate::executor::ExecError;
use crate::load_error::LoadError;
use crate::ops::{DraftOps, OpResult};
use ossmark_protocol::TokenId;

impl DraftOps for CudaOps {
    type TokenTable = CudaTokenTable;
    type Guesses = CudaGuesses;

    fn no_sinks(&mut self, heads: usize) -> Result<CudaVector, LoadError> {
        self.uploader
            .f32(&self.device, &vec![f32::NEG_INFINITY; heads])
    }

    fn token_table(&mut self, tokens: &[TokenId]) -> Result<CudaTokenTable, LoadError> {
        let memory = self.device.memory("the head's tokens", tokens.len() * 4)?;
        let bytes: Vec<u8> = tokens.iter().flat_map(|t| t.to_le_bytes()).collect();
        self.uploader.copy(&self.device, &bytes, &memory, 0)?;
        let len = tokens.len();
        Ok(CudaTokenTable { memory, len })
    }

    fn guesses(&mut self, rows: usize, _vocab: usize) -> Result<CudaGuesses, LoadError> {
        let keys = self.device.memory("the head's guesses", rows * 8)?;
        self.device.fill(&keys, 0).map_err(load_failed)?;
        Ok(CudaGuesses::new(keys, rows))
    }

    fn begin_passes(&mut self, passes: &[StepBatch]) -> OpResult {
        self.device.bind()?;
        let (device, planned) = self.parts()?;
        if passes.len() > planned.steps.len() {
            return Err(ExecError(format!(
                "impossible step: {} passes of the head, expected at most {}",
                passes.len(),
                planned.steps.len()
            )));
        }
        for (step, pass) in planned.steps.iter_mut().zip(passes) {
            step.begin(device, pass)?;
            step.end_pass(device)?;
        }
        Ok(())
    }

    fn enter_pass(&mut self, number: usize) -> OpResult {
        let (_, planned) = self.parts()?;
        planned.current = number.min(planned.steps.len() - 1);
        Ok(())
    }

    fn copy_columns(&mut self, from: &CudaBuf, to: &mut CudaBuf, column: usize) -> OpResult {
        copy_rows::copy_columns(&self.device, self.rows(), from, to, column)
    }

    fn gather_states(&mut self, states: &CudaBuf, out: &mut CudaBuf) -> OpResult {
        let Context { device, step, .. } = self.context()?;
        copy_rows::gather_states(device, step, states, out)
    }

    fn silu_mul(&mut self, gate_up: &CudaBuf, out: &mut CudaBuf) -> OpResult {
        silu_mul::silu_mul(&self.device, gate_up, self.rows(), out)
    }

    fn draft(
        &mut self,
        x: &CudaBuf,
        w: &CudaLinear,
        table: Option<&CudaTokenTable>,
        number: usize,
        guesses: &mut CudaGuesses,
    ) -> OpResult {
        let Context { device, step, .. } = self.context()?;
        let linear = Linear {
            device,
            x,
            w,
            rows: step.rows,
            out: x,
        };
        let guesses = &*guesses;
        select::draft_argmax(self.reference, &Argmax { linear, guesses })?;
        draft_argmax::draft_token(device, step, guesses, (table, w.outs), number)
    }

    fn largest(
        &mut self,
        x: &CudaBuf,
        w: &CudaLinear,
        rows: usize,
        guesses: &mut CudaGuesses,
    ) -> Result<Vec<f32>, ExecError> {
        let (device, guesses) = (&self.device, &*guesses);
        let linear = Linear {
            device,
            x,
            w,
            rows,
            out: x,
        };
        select::draft_argmax(self.reference, &Argmax { linear, guesses })?;
        guesses.take_logits(device, rows)
    }

    fn accept(&mut self, x: &CudaBuf, states: &mut CudaBuf) -> OpResult {
        let Context { device, step, .. } = self.context()?;
        accept_drafts::accept_drafts(device, step, x, states)
    }
}
