//! The operations of a decode step that are latency more than bytes: a third of a single stream's time. One kernel each, or one
//! and its parts, so that there is nothing to compare here; the check of the kernels does.

use super::{Bench, Timing};
use crate::config::{LayerKind, ModelConfig};
use crate::cuda::weights::{CudaLinear, CudaVector};
use crate::load_error::LoadError;
use crate::ops::{KvLayer, Ops};

impl Bench<'_> {
    /// For the step of `n` rows that was begun.
    pub(super) fn small(
        &mut self,
        n: usize,
        c: &ModelConfig,
        (router, norm): (&CudaLinear, &CudaVector),
    ) -> Result<(), LoadError> {
        let bf16 = |rows: usize, cols: usize| 2.0 * (rows * cols) as f64;
        let mut out = self.ops.buf(n, c.hidden)?;
        let x = self.filled(n, c.hidden)?;
        let mut logits = self.ops.buf(n, c.experts)?;
        let mut routing = self.ops.routing(n)?;
        let ms = self.median(&mut out, &mut |o, _| {
            o.router(&x, router, n, &mut logits, &mut routing)
        })?;
        let product = 2.0 * (n * c.experts * c.hidden) as f64;
        let bytes = bf16(c.experts + n, c.hidden);
        self.seen("router and choice", n, ms, bytes, product);

        let mut sum = self.filled(n, c.hidden)?;
        let ms = self.median(&mut out, &mut |o, out| {
            o.add_rmsnorm(&mut sum, &x, norm, n, out)
        })?;
        self.seen("add and rmsnorm", n, ms, bf16(4 * n, c.hidden), 0.0);

        let mut qkv = self.filled(n, c.qkv_dim())?;
        let layer = KvLayer {
            kind: LayerKind::Full,
            index: 0,
        };
        let ms = self.median(&mut out, &mut |o, _| o.rope_kv(&mut qkv, layer))?;
        let kv = c.qkv_dim() - c.q_dim();
        self.seen("rope and kv", n, ms, bf16(2 * n, c.qkv_dim() + kv), 0.0);
        Ok(())
    }

    fn seen(&mut self, op: &str, rows: usize, ms: f64, bytes: f64, flops: f64) {
        (self.each)(Timing {
            op: op.into(),
            shape: format!("{rows} rows"),
            kernels: "best",
            ms: Some(ms),
            bytes,
            flops,
            error: 0.0,
        });
    }
}
