// The experts' first product with bias and clamped SwiGLU for many rows a step (prefill), on Hopper's tensor cores.
// Reference: crates/engine/src/cpu/experts.rs
// SASS: HGMMA.64x128x16.F32.BF16 LDGSTS.E.BYPASS.128
#include "include/moe_wgmma.h"

// `swiglu` with one-instruction powers and reciprocals: the tensor cores wait for it.
DEVICE float fast_swiglu(float gate, float up, float limit) {
    gate = gate > limit ? limit : gate;
    up = up > limit ? limit : up;
    up = up < -limit ? -limit : up;
    // log2(e) times -1.702. Beyond 2^127 the reciprocal is zero, as is the limit of the quotient.
    return gate * fast_reciprocal(1.0f + fast_exp2(-2.4554669f * gate)) * (up + 1.0f);
}

// `outs` and `cols` are multiples of 64.
KERNEL __launch_bounds__(512, 1) moe_gate_up_wgmma(const MoeArgs a) {
    kernel_begins();
    DYNAMIC_SHARED(shared);
    u32 lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, width = a.outs / 2;
    moe_wgmma_all(
        // Even rows of the matrix are gates, odd ones ups: both of a pair end in one lane.
        a, a.x, [&](const Tile& tile, u32 tile_row) { return a.routing.assignment_at[tile.first_sorted_row + tile_row] / a.top_k; },
        [&](const MoeWgmmaWork& work, const float (&sums)[MOE_WGMMA_ROWS / 2]) {
            u32 h = work.first_row / 2 + threadIdx.x / 32 * 8 + g, tile_rows = work.tile.rows;
            if (h >= width) return;
            const bf16* bias = a.bias + (u64)work.tile.expert * a.outs + 2 * h;
            float gate_bias = f32_of(bias[0]), up_bias = f32_of(bias[1]);
            bf16* out = a.routing.h + (u64)work.tile.first_sorted_row * width + h;
#pragma unroll
            for (u32 j = 0; j < MOE_WGMMA_ROWS / 8; ++j) {
#pragma unroll
                for (u32 e = 0; e < 2; ++e) {
                    u32 tile_row = 8 * j + 2 * t + e;
                    if (tile_row >= tile_rows) continue;
                    float gate = f32_of(bf16_of(sums[4 * j + e] + gate_bias)), up = f32_of(bf16_of(sums[4 * j + 2 + e] + up_bias));
                    out[(u64)tile_row * width] = bf16_of(fast_swiglu(gate, up, a.limit));
                }
            }
        },
        shared);
}
