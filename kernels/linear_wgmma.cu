// Dense product for many rows a step (prefill, large decode steps): out = x W^T + b, on Hopper's tensor cores.
// Reference: crates/engine/src/cpu/product.rs
// SASS: HGMMA.64x160x16.F32.BF16 LDGSTS.E.BYPASS.128
#include "include/linear_wgmma.h"

// `cols` is a multiple of 64, `outs` of 8.
KERNEL __launch_bounds__(256, 1) linear_wgmma(const LinearArgs a) {
    DYNAMIC_SHARED(shared);
    u32 first_out = blockIdx.x * DENSE_OUTS, first_row = blockIdx.y * DENSE_ROWS, t = threadIdx.x % 4;
    float sums[2][DENSE_OUTS / 2];
    linear_wgmma_sums(a, first_out, first_row, shared, sums);
    u32 row = first_row + linear_wgmma_row();
#pragma unroll
    for (u32 j = 0; j < DENSE_OUTS / 8; ++j) {
        u32 out = first_out + 8 * j + 2 * t;
        if (out >= a.outs) break;
        float low_bias = a.bias ? a.bias[out] : 0.0f, high_bias = a.bias ? a.bias[out + 1] : 0.0f;
#pragma unroll
        for (u32 i = 0; i < 4; ++i) {
            u32 at_row = row + i / 2 * 128 + i % 2 * 8;
            const float* sum = &sums[i / 2][4 * j + i % 2 * 2];
            if (at_row < a.rows) *(u32*)(a.out + (u64)at_row * a.outs + out) = pair_of(sum[0] + low_bias, sum[1] + high_bias);
        }
    }
}
