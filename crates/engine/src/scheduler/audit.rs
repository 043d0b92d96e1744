//! The scheduler's invariants, checked by tests between any two steps.

use std::collections::HashSet;

use super::Scheduler;

impl Scheduler {
    /// Every block and every slot is in one place, nobody is in two queues, and windows keep no more than they need.
    pub(crate) fn audit(&self, depth: u64) {
        let mut seen = HashSet::new();
        let held = self.seqs.values().flat_map(|seq| {
            seq.blocks
                .full
                .blocks
                .iter()
                .chain(&seq.blocks.window.blocks)
        });
        let deferred = self.deferred.iter().flat_map(|(_, blocks)| blocks);
        for &block in held.chain(deferred) {
            assert!(seen.insert(block), "block {block} is held twice");
        }
        assert_eq!(
            seen.len() as u32 + self.pool.n_free(),
            self.pool.n_blocks(),
            "a block was lost"
        );
        assert!(self.planned - self.committed <= depth);
        for &(step, _) in &self.deferred {
            assert!(
                step > self.committed && step <= self.planned,
                "blocks wait for step {step}"
            );
        }
        assert_eq!(self.running.len() + self.waiting.len(), self.seqs.len());
        assert_eq!(self.by_id.len(), self.seqs.len());
        let order: Vec<_> = self.running.iter().chain(&self.waiting).collect();
        assert!(order.is_sorted(), "not first come, first served: {order:?}");
        for key in &self.waiting {
            let seq = &self.seqs[key];
            assert!(seq.slot.is_none() && seq.blocks.n_blocks() == 0 && seq.computed == 0);
        }
        let mut slots: HashSet<_> = self.slots.iter().copied().collect();
        for key in &self.running {
            let seq = &self.seqs[key];
            assert!(
                slots.insert(seq.slot.expect("a slot")),
                "slot {:?} is taken twice",
                seq.slot
            );
            assert!(u64::from(seq.pending) <= depth && seq.len() <= seq.max_len);
            if let Some(step) = seq.span {
                assert!(
                    step > self.committed && seq.pending > 0,
                    "the span of step {step} is over"
                );
            } else {
                let all = seq.computed.div_ceil(self.limits.0.block_size);
                for table in [&seq.blocks.full, &seq.blocks.window] {
                    let end = table.first_block + table.blocks.len() as u32;
                    assert!(
                        table.blocks.is_empty() || end <= all,
                        "blocks to {end} for {all}: those of refused drafts are kept"
                    );
                }
            }
            if let Some(window) = self.limits.0.window {
                let n = seq.blocks.window.blocks.len() as u32;
                let chunk = self.max_chunk.max(1 + self.limits.0.draft_tokens);
                let max = (window + chunk).div_ceil(self.limits.0.block_size) + 1;
                assert!(
                    n <= max,
                    "{n} blocks for a window of {window}, at most {max}"
                );
            }
        }
        assert_eq!(slots.len(), self.slots.len() + self.running.len());
    }
}
