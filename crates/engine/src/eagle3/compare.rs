//! The head's layer as a check of a device's kernels, as `model/compare.rs` is of the model's.

use super::head::{Head, LAYER};
use crate::ops::{DraftOps, OpResult};

/// Gets an operation, and its results by the best kernels and by the reference ones.
pub(crate) type Found<'a> = &'a mut dyn FnMut(&'static str, &[f32], &[f32]);

/// Which kernels compute from here on: `choose(ops, false)` the best, `choose(ops, true)` the reference ones.
pub(crate) type Choose<O> = fn(&mut O, bool);

/// `work` by the best kernels, then by the reference ones, and what it leaves in the first rows of the buffer.
macro_rules! both {
    ($name:literal, $ops:ident, $choose:ident, $found:ident, $rows:expr, $into:expr, $work:expr) => {{
        let n = $ops.read(&$into, $rows)?.len();
        // Nothing right there before.
        $ops.write(&mut $into, &vec![f32::NAN; n])?;
        $choose($ops, false);
        $work?;
        let best = $ops.read(&$into, $rows)?;
        $choose($ops, true);
        $work?;
        $found($name, &best, &$ops.read(&$into, $rows)?);
    }};
}

impl<O: DraftOps> Head<O> {
    /// Runs pass 0 over its `rows` rows with made-up states of the target, the operations for which a device may have several
    /// kernels both ways on the same inputs, and guesses among at most `guesses` rows of what comes of it.
    ///
    /// # Errors
    /// The device is lost.
    pub(crate) fn compare(
        &mut self,
        ops: &mut O,
        (rows, guesses): (usize, usize),
        choose: Choose<O>,
        found: Found<'_>,
    ) -> OpResult {
        ops.enter_pass(0)?;
        let features = self.boundaries.len() * self.hidden;
        let state = |i: usize| ((i * 7919 + i / 64) % 1009) as f32 / 504.5 - 1.0;
        let states: Vec<f32> = (0..rows * features).map(state).collect();
        let s = &mut self.scratch;
        ops.write(&mut s.seen, &states)?;
        both!(
            "the draft head's mix of states",
            ops,
            choose,
            found,
            rows,
            s.x,
            ops.linear(&s.seen, &self.fc, rows, &mut s.x)
        );
        ops.embed(&self.embedding, &mut s.embedded)?;
        ops.rmsnorm(&s.embedded, &self.input_layernorm, rows, &mut s.normed)?;
        ops.copy_columns(&s.normed, &mut s.both, 0)?;
        ops.rmsnorm(&s.x, &self.hidden_norm, rows, &mut s.normed)?;
        ops.copy_columns(&s.normed, &mut s.both, self.hidden)?;
        both!(
            "the draft head's product for queries, keys and values",
            ops,
            choose,
            found,
            rows,
            s.qkv,
            ops.linear(&s.both, &self.qkv, rows, &mut s.qkv)
        );
        // In place, and to the pool: seen through attention.
        let mut seen = Vec::new();
        for reference in [false, true] {
            choose(ops, true);
            ops.linear(&s.both, &self.qkv, rows, &mut s.qkv)?;
            choose(ops, reference);
            ops.rope_kv(&mut s.qkv, LAYER)?;
            choose(ops, true);
            ops.attention(&s.qkv, LAYER, &self.sinks, &mut s.attended)?;
            seen.push(ops.read(&s.attended, rows)?);
        }
        found("the draft head's rotation and pool", &seen[0], &seen[1]);
        both!(
            "the draft head's attention",
            ops,
            choose,
            found,
            rows,
            s.attended,
            ops.attention(&s.qkv, LAYER, &self.sinks, &mut s.attended)
        );
        both!(
            "the draft head's attention's last product",
            ops,
            choose,
            found,
            rows,
            s.delta,
            ops.linear(&s.attended, &self.out, rows, &mut s.delta)
        );
        let norm = &self.post_attention_layernorm;
        ops.add_rmsnorm(&mut s.x, &s.delta, norm, rows, &mut s.normed)?;
        both!(
            "the draft head's first product of the MLP",
            ops,
            choose,
            found,
            rows,
            s.gate_up,
            ops.linear(&s.normed, &self.gate_up, rows, &mut s.gate_up)
        );
        ops.silu_mul(&s.gate_up, &mut s.activated)?;
        both!(
            "the draft head's second product of the MLP",
            ops,
            choose,
            found,
            rows,
            s.delta,
            ops.linear(&s.activated, &self.down, rows, &mut s.delta)
        );
        ops.add(&mut s.x, &s.delta)?;
        let rows = rows.min(guesses);
        ops.rmsnorm(&s.x, &self.norm, rows, &mut s.normed)?;
        choose(ops, false);
        let best = ops.largest(&s.normed, &self.lm_head, rows, &mut s.guesses)?;
        choose(ops, true);
        let reference = ops.largest(&s.normed, &self.lm_head, rows, &mut s.guesses)?;
        found("the draft head's guess", &best, &reference);
        choose(ops, false);
        Ok(())
    }
}
