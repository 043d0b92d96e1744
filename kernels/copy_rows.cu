// Rows of activations to where a draft head wants them; rows are whole groups of eight elements. Bandwidth-bound; one block per
// row.
// Reference: crates/engine/src/cpu/draft.rs
#include "include/step.h"

struct CopyRowsArgs {
    const bf16* from;
    bf16* to;
    const u32* seq_of_row;
    const SeqMeta* seqs;
    u32 cols;
    u32 to_cols;
    // Of `to`.
    u32 column;
    u32 unused;
};
ASSERT_SIZE(CopyRowsArgs, 48);
ASSERT_OFFSET(CopyRowsArgs, cols, 32);

DEVICE void copy_row(const bf16* from, bf16* to, u32 cols) {
    for (u32 i = threadIdx.x; i < cols / 8; i += blockDim.x) ((Vec16*)to)[i] = load16((const Vec16*)from + i);
}

// To the same row, from `column` on.
KERNEL __launch_bounds__(128) copy_columns(const CopyRowsArgs a) {
    kernel_begins();
    u64 row = blockIdx.x;
    copy_row(a.from + row * a.cols, a.to + row * a.to_cols + a.column, a.cols);
}

// From the row of the slot of the row's sequence.
KERNEL __launch_bounds__(128) gather_states(const CopyRowsArgs a) {
    kernel_begins();
    u32 seq = a.seq_of_row[blockIdx.x];
    if (seq == NO_SEQ) return;
    copy_row(a.from + (u64)a.seqs[seq].slot * a.cols, a.to + (u64)blockIdx.x * a.to_cols, a.cols);
}
