//! The KV pool's bookkeeping. Owns which blocks are free and how a sequence's tables grow and shrink; the memory itself
//! is the executor's. Used on the engine thread.
//!
//! Both layer groups draw from one free list. Full-attention tables only grow. Sliding-window tables also drop blocks that
//! lie wholly behind the window of the next query; nothing is overwritten in place: a step in flight may still read it.

use crate::executor::{BlockId, BlockTable, Capacity};

/// A block was released that nobody held: the books are wrong, and its contents may be somebody else's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "block {block} of {n_blocks} was released but was not in use: a defect in the engine, please report it"
)]
pub struct BlockError {
    /// The block.
    pub block: BlockId,
    /// Blocks in the pool.
    pub n_blocks: u32,
}

/// The free list.
pub(crate) struct BlockPool {
    free: Vec<BlockId>,
    in_use: Vec<bool>,
}

impl BlockPool {
    pub(crate) fn new(n_blocks: u32) -> Self {
        Self {
            free: (0..n_blocks).rev().collect(),
            in_use: vec![false; n_blocks as usize],
        }
    }

    pub(crate) fn n_free(&self) -> u32 {
        self.free.len() as u32
    }

    pub(crate) fn n_blocks(&self) -> u32 {
        self.in_use.len() as u32
    }

    pub(crate) fn take(&mut self) -> Option<BlockId> {
        let block = self.free.pop()?;
        self.in_use[block as usize] = true;
        Some(block)
    }

    pub(crate) fn release(&mut self, blocks: &[BlockId]) -> Result<(), BlockError> {
        let n_blocks = self.n_blocks();
        for &block in blocks {
            match self.in_use.get_mut(block as usize) {
                Some(used @ true) => *used = false,
                _ => return Err(BlockError { block, n_blocks }),
            }
            self.free.push(block);
        }
        Ok(())
    }
}

/// How positions map to blocks, and how many blocks things need.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Geometry {
    block_size: u32,
    window: Option<u32>,
    has_full: bool,
}

impl Geometry {
    pub(crate) fn new(capacity: &Capacity) -> Self {
        Self {
            block_size: capacity.block_size,
            window: capacity.window,
            has_full: capacity.has_full,
        }
    }

    /// Blocks that hold positions `0..positions`.
    fn covering(&self, positions: u32) -> u32 {
        positions.div_ceil(self.block_size)
    }

    /// First logical block that a query at `start` or later sees in a sliding layer.
    fn first_visible(&self, start: u32, window: u32) -> u32 {
        (start + 1).saturating_sub(window) / self.block_size
    }

    /// Most blocks at once while a sequence of `positions` is computed in chunks of at most `chunk`.
    pub(crate) fn peak(&self, positions: u32, chunk: u32) -> u32 {
        let all = self.covering(positions);
        let full = if self.has_full { all } else { 0 };
        // A span of w positions touches at most ceil((w - 1) / size) + 1 blocks.
        let window = self.window.map_or(0, |window| {
            let span = u64::from(window) - 1 + u64::from(chunk);
            all.min(
                (span - 1)
                    .div_ceil(u64::from(self.block_size))
                    .min(u64::from(u32::MAX) - 1) as u32
                    + 1,
            )
        });
        full.saturating_add(window)
    }
}

/// The two tables of one sequence.
#[derive(Clone, Debug, Default)]
pub(crate) struct SeqBlocks {
    pub(crate) full: BlockTable,
    pub(crate) window: BlockTable,
}

impl SeqBlocks {
    pub(crate) fn n_blocks(&self) -> u32 {
        (self.full.blocks.len() + self.window.blocks.len()) as u32
    }

    /// Blocks that are missing to compute positions up to `end`.
    fn missing(&self, geometry: &Geometry, end: u32) -> u32 {
        let all = geometry.covering(end);
        let of =
            |table: &BlockTable| all.saturating_sub(table.first_block + table.blocks.len() as u32);
        let full = if geometry.has_full { of(&self.full) } else { 0 };
        full + if geometry.window.is_some() {
            of(&self.window)
        } else {
            0
        }
    }

    /// The longest chunk from `start`, at most `want`, that `n_free` blocks allow.
    pub(crate) fn longest_chunk(
        &self,
        geometry: &Geometry,
        start: u32,
        want: u32,
        n_free: u32,
    ) -> u32 {
        let mut end = start + want;
        while end > start && self.missing(geometry, end) > n_free {
            end = (end - 1) / geometry.block_size * geometry.block_size;
        }
        end.saturating_sub(start)
    }

    /// Takes the blocks of positions up to `end`. False: the pool ran out (some may have been taken).
    pub(crate) fn grow(&mut self, geometry: &Geometry, end: u32, pool: &mut BlockPool) -> bool {
        let all = geometry.covering(end);
        let mut fill = |table: &mut BlockTable| {
            while table.first_block + (table.blocks.len() as u32) < all {
                let Some(block) = pool.take() else {
                    return false;
                };
                table.blocks.push(block);
            }
            true
        };
        (!geometry.has_full || fill(&mut self.full))
            && (geometry.window.is_none() || fill(&mut self.window))
    }

    /// Drops the window's blocks that no query at `start` or later sees. The caller releases them, but only when the last
    /// step in flight that reads them is over: a step's queries begin before `start`.
    pub(crate) fn trim(&mut self, geometry: &Geometry, start: u32) -> Vec<BlockId> {
        let Some(window) = geometry.window else {
            return Vec::new();
        };
        let first = geometry.first_visible(start, window);
        let table = &mut self.window;
        if first <= table.first_block {
            return Vec::new();
        }
        let n = ((first - table.first_block) as usize).min(table.blocks.len());
        table.first_block = first;
        table.blocks.drain(..n).collect()
    }

    /// Drops the blocks behind those of positions below `end`: what a span took for drafted tokens that were refused.
    pub(crate) fn shrink(&mut self, geometry: &Geometry, end: u32) -> Vec<BlockId> {
        let all = geometry.covering(end);
        let mut dropped = Vec::new();
        for table in [&mut self.full, &mut self.window] {
            let keep = all.saturating_sub(table.first_block) as usize;
            dropped.extend(table.blocks.drain(keep.min(table.blocks.len())..));
        }
        dropped
    }

    /// All blocks; the tables are empty afterwards.
    pub(crate) fn take_all(&mut self) -> Vec<BlockId> {
        let Self { full, window } = std::mem::take(self);
        let mut blocks = full.blocks;
        blocks.extend(window.blocks);
        blocks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_double_release_is_an_error() {
        let mut pool = BlockPool::new(3);
        let block = pool.take().unwrap();
        assert_eq!(pool.release(&[block]), Ok(()));
        assert_eq!(
            pool.release(&[block]),
            Err(BlockError { block, n_blocks: 3 })
        );
        assert_eq!(
            pool.release(&[9]),
            Err(BlockError {
                block: 9,
                n_blocks: 3
            })
        );
        assert_eq!(pool.n_free(), 3);
    }

    #[test]
    fn an_empty_pool_gives_nothing() {
        let mut pool = BlockPool::new(2);
        let (a, b) = (pool.take().unwrap(), pool.take().unwrap());
        assert_ne!(a, b);
        assert_eq!(pool.take(), None);
        pool.release(&[b]).unwrap();
        assert_eq!(pool.take(), Some(b));
    }

    #[test]
    fn window_edges() {
        let geometry = Geometry {
            block_size: 16,
            window: Some(128),
            has_full: true,
        };
        // A query at 127 sees 0; at 128 sees 1; block 0 is wholly behind only at 143, which sees 16 on.
        for (start, first) in [
            (126, 0),
            (127, 0),
            (128, 0),
            (142, 0),
            (143, 1),
            (158, 1),
            (159, 2),
        ] {
            assert_eq!(
                geometry.first_visible(start, 128),
                first,
                "query at {start}"
            );
        }
    }

    proptest! {
        /// Computing a sequence in random chunks: every visible position has a block, no block behind the window is kept,
        /// the peak holds, and at the end all blocks come back.
        #[test]
        fn tables_cover_what_is_visible_and_no_more(
            block_size in 1u32..9,
            window in proptest::option::of(1u32..20),
            has_full: bool,
            chunks in proptest::collection::vec(1u32..12, 1..20),
        ) {
            let geometry = Geometry { block_size, window, has_full };
            let longest = *chunks.iter().max().unwrap();
            let total = chunks.iter().sum();
            let mut pool = BlockPool::new(1000);
            let mut blocks = SeqBlocks::default();
            let mut start = 0;
            for len in chunks {
                let behind = blocks.trim(&geometry, start);
                pool.release(&behind).unwrap();
                let before = pool.n_free();
                prop_assert_eq!(blocks.longest_chunk(&geometry, start, len, before), len);
                let missing = blocks.missing(&geometry, start + len);
                if missing > 0 {
                    let shorter = blocks.longest_chunk(&geometry, start, len, missing - 1);
                    prop_assert!(shorter < len);
                    prop_assert!(blocks.missing(&geometry, start + shorter) < missing || shorter == 0);
                }
                prop_assert!(blocks.grow(&geometry, start + len, &mut pool));
                prop_assert_eq!(before - pool.n_free(), missing);
                prop_assert_eq!(blocks.n_blocks(), 1000 - pool.n_free());
                prop_assert!(blocks.n_blocks() <= geometry.peak(total, longest));
                let covers = |table: &BlockTable, position: u32| {
                    (position / block_size).checked_sub(table.first_block).is_some_and(|i| (i as usize) < table.blocks.len())
                };
                for position in 0..start + len {
                    prop_assert!(!has_full || covers(&blocks.full, position));
                    if let Some(window) = window {
                        prop_assert!(covers(&blocks.window, position) || position + window <= start);
                    }
                }
                if let Some(window) = window {
                    prop_assert!((blocks.window.blocks.len() as u32) <= (window + len).div_ceil(block_size) + 1);
                    let first_kept_end = (blocks.window.first_block + 1) * block_size;
                    prop_assert!(first_kept_end + window > start, "a block behind the window is kept");
                }
                // A span of which only the first position stands gives back all blocks behind it.
                let kept = start + 1;
                let held = blocks.n_blocks();
                let behind = blocks.shrink(&geometry, kept);
                prop_assert_eq!(blocks.n_blocks() + behind.len() as u32, held);
                pool.release(&behind).unwrap();
                for (wanted, table) in [(has_full, &blocks.full), (window.is_some(), &blocks.window)] {
                    prop_assert!(!wanted || covers(table, start));
                    prop_assert!(!covers(table, kept.next_multiple_of(block_size)));
                }
                prop_assert!(blocks.grow(&geometry, start + len, &mut pool));
                start += len;
            }
            pool.release(&blocks.take_all()).unwrap();
            prop_assert_eq!(pool.n_free(), 1000);
        }
    }
}
