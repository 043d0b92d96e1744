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

/// Rows of a step up to the last one of a sequence with fewer than `below` rows. `seqs`: the first row and the number of rows
/// of each. A plan has its decoding sequences first, so that these are hardly more than theirs.
pub(crate) fn rows_of_short(seqs: &[(usize, usize)], below: usize) -> usize {
    let short = seqs.iter().filter(|(_, rows)| *rows < below);
    short.map(|(first, rows)| first + rows).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_behind_decoding_sequences_is_left_out() {
        let seqs = [(0, 1), (1, 1), (2, 4000)];
        assert_eq!(rows_of_short(&seqs, 16), 2);
        assert_eq!(rows_of_short(&seqs, usize::MAX), 4002);
        assert_eq!(rows_of_short(&[(0, 100), (100, 15), (115, 16)], 16), 115);
        assert_eq!(rows_of_short(&[(0, 16)], 16), 0);
        assert_eq!(rows_of_short(&[], 16), 0);
    }

    #[test]
    fn one_wave_of_blocks_shares_a_row() {
        // Of an H200: 132 multiprocessors with room for two blocks each, eight kv heads.
        assert_eq!(workers(8, 131_072, 132), 33);
        assert_eq!(workers(8, 2048, 132), 4);
        assert_eq!(workers(8 * 33, 131_072, 132), 1);
        assert_eq!(workers(0, 131_072, 132), 256);
    }
}
