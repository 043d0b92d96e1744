// `draft_argmax` for many rows, on Hopper's tensor cores: the matrix is read once for 256 of them.
// Reference: crates/engine/src/cpu/draft.rs
// SASS: HGMMA.64x160x16.F32.BF16 LDGSTS.E.BYPASS.128
#include "include/argmax.h"
#include "include/linear_wgmma.h"

// blockIdx.x is the 256 rows, blockIdx.y the 160 outputs. `cols` is a multiple of 64, `outs` of 8.
KERNEL __launch_bounds__(256, 1) draft_argmax_wgmma(const ArgmaxArgs a) {
    DYNAMIC_SHARED(shared);
    const LinearArgs& l = a.linear;
    u32 first_out = blockIdx.y * DENSE_OUTS, first_row = blockIdx.x * DENSE_ROWS, t = threadIdx.x % 4;
    float sums[2][DENSE_OUTS / 2];
    linear_wgmma_sums(l, first_out, first_row, 0, 1, shared, sums);
    u32 row = first_row + linear_wgmma_row();
#pragma unroll
    for (u32 i = 0; i < 4; ++i) {
        u64 best = 0;
#pragma unroll
        for (u32 j = 0; j < DENSE_OUTS / 8; ++j) {
#pragma unroll
            for (u32 e = 0; e < 2; ++e) {
                u32 out = first_out + 8 * j + 2 * t + e;
                float sum = sums[i / 2][4 * j + i % 2 * 2 + e];
                if (out < l.outs) best = larger(best, key_of(sum + (l.bias ? l.bias[out] : 0.0f), out));
            }
        }
        // A row is in four neighbours.
        best = larger_across(larger_across(best, 1), 2);
        u32 at_row = row + i / 2 * 128 + i % 2 * 8;
        if (t == 0 && at_row < l.rows) keep_larger(&a.keys[at_row], best);
    }
}
