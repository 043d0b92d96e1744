// A draft head's guess: the id of the largest of `x W^T + b`, whose elements are not stored. Bandwidth-bound: with the whole
// vocabulary it reads as much as a fifth of a decode step.
// Reference: crates/engine/src/cpu/draft.rs
// SASS: HMMA.16816.F32.BF16 LDG.E.128 LDG.E.NA.128
//
// Blocks as in linear_mma.cu, but that those with the same outputs follow each other, so that for more than 16 rows their
// weights come from the second-level cache.
#include "include/argmax.h"
#include "include/linear_mma.h"
#include "include/linear_reference.h"
#include "include/step.h"

// Outputs that a warp has of a row are in eight of its lanes; a row of the block is in four of its warps' parts.
template <int ROWS8>
DEVICE void argmax_tile(const ArgmaxArgs& a, float* shared) {
    __shared__ u64 best[4][16];
    u32 first_out = blockIdx.y * LINEAR_ROWS, first_row = blockIdx.x * 16;
    linear_sums<ROWS8>(a.linear, first_out, first_row, shared);
    for (u32 e = threadIdx.x; e < 2 * ROWS8 * 4 * 32; e += LINEAR_WARPS * 32) {
        LinearPlace at = linear_place<ROWS8>(e);
        u32 out = first_out + at.out;
        u64 key = 0;
        if (out < a.linear.outs) key = key_of(linear_sum<ROWS8>(shared, e) + (a.linear.bias ? a.linear.bias[out] : 0.0f), out);
        for (u32 mask = 4; mask < 32; mask *= 2) key = larger_across(key, mask);
        if (e % 32 < 4) best[at.out / 8][at.row] = key;
    }
    __syncthreads();
    u32 row = first_row + threadIdx.x;
    if (threadIdx.x < 8 * ROWS8 && row < a.linear.rows) {
        u64 key = larger(larger(best[0][threadIdx.x], best[1][threadIdx.x]), larger(best[2][threadIdx.x], best[3][threadIdx.x]));
        keep_larger(&a.keys[row], key);
    }
}

// blockIdx.x is the 16 rows, blockIdx.y the 32 outputs.
KERNEL __launch_bounds__(256, 2) draft_argmax(const ArgmaxArgs a) {
    __shared__ float shared[LINEAR_WARPS * 16 * 32];
    next_may_start();
    if (a.linear.rows - blockIdx.x * 16 <= 8) {
        argmax_tile<1>(a, shared);
    } else {
        argmax_tile<2>(a, shared);
    }
}

// The device's reference for `draft_argmax`, for any widths.
KERNEL __launch_bounds__(256) draft_argmax_reference(const ArgmaxArgs a) {
    kernel_begins();
    u32 first_row = blockIdx.x * 16, out = blockIdx.y * 32 + threadIdx.x % 32;
    float sum[2];
    reference_sums(a.linear, blockIdx.y * 32, first_row, sum);
    for (u32 i = 0; i < 2; ++i) {
        u32 row = first_row + threadIdx.x / 32 + 8 * i;
        u64 key = 0;
        if (out < a.linear.outs) key = key_of(sum[i] + (a.linear.bias ? a.linear.bias[out] : 0.0f), out);
        for (u32 mask = 1; mask < 32; mask *= 2) key = larger_across(key, mask);
        if (threadIdx.x % 32 == 0 && row < a.linear.rows) keep_larger(&a.keys[row], key);
    }
}

struct DraftTokenArgs {
    u64* keys;
    const u32* seq_of_row;
    const SeqMeta* seqs;
    u32* tokens;
    // The model's token for each of the head's; null: they are the same.
    const u32* table;
    u32 rows;
    u32 number;
    u32 max_seqs;
    u32 max_drafts;
};
ASSERT_SIZE(DraftTokenArgs, 56);
ASSERT_OFFSET(DraftTokenArgs, rows, 40);

// Each row's token to its place, and its key back to 0. A thread a row.
KERNEL __launch_bounds__(128) draft_token(const DraftTokenArgs a) {
    kernel_begins();
    u32 row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= a.rows) return;
    u64 key = a.keys[row];
    a.keys[row] = 0;
    u32 seq = a.seq_of_row[row];
    if (seq == NO_SEQ) return;
    u32 token = 0xffffffffu;
    if (key != BAD_KEY) {
        token = 0xffffffffu - (u32)key;
        if (a.table) token = a.table[token];
    }
    a.tokens[a.max_seqs + a.seqs[seq].slot * a.max_drafts + a.number] = token;
}
