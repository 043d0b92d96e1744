//! Splits of a row's positions over blocks: which rows are split, and over how many. Mirrors `kernels/attention_decode.cu`.

const SPLIT: usize = 512;
const UNSPLIT: u32 = u32::MAX;

/// Splits that there is room for: one sequence of 131,072 positions, or 186 of 5,500.
pub(crate) const MAX_SPLITS: usize = 2048;

/// Blocks for each multiprocessor from which on a row's splits are left to one block: the device, which has room for two
/// on each, is full without them. With more, what comes next could begin only when a second wave of blocks has begun, most of
/// which return at once.
const ENOUGH_BLOCKS: usize = 2;

/// Writes where the splits of each row begin among the partial results; rows with a single split, and those for which
/// there is no room any more, are done by one block each.
pub(crate) fn plan_kv_splits(positions: &[u32], into: &mut [u32]) {
    let mut next = 0;
    for (position, at) in positions.iter().zip(into) {
        let splits = *position as usize / SPLIT + 1;
        *at = UNSPLIT;
        if splits > 1 && next + splits <= MAX_SPLITS {
            *at = next as u32;
            next += splits;
        }
    }
}

/// Blocks for each of so many pairs of row and kv head. What the step's lengths ask for is in the step's metadata, so that
/// this depends on the number of rows alone.
pub(crate) fn workers(pairs: usize, max_context: usize, multiprocessors: u32) -> usize {
    let enough = ENOUGH_BLOCKS * multiprocessors as usize;
    if pairs >= enough {
        return 1;
    }
    let max = max_context.div_ceil(SPLIT);
    enough.div_ceil(pairs.max(1)).min(max).max(1)
}
