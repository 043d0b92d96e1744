// The experts' first product with bias and clamped SwiGLU for many rows a step (prefill), on Hopper's tensor cores.
// Reference: crates/engine/src/cpu/experts.rs
// SASS: HGMMA.64x128x16.F32.BF16 LDGSTS.E.BYPASS.128
#include "include/experts_wide.h"

DEVICE void up_tile(const ExpertsArgs& a, const Tile& tile, u32 first_row, unsigned char* shared) {
    u32 lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, width = a.outs / 2;
    float sums[WIDE_PLACES / 2];
    // Even rows of the matrix are gates and become rows g, odd ones are ups and become rows g + 8: both of a pair end in
    // one lane.
    wide_product(
        a, tile, first_row, [](u32 i) { return i / 2 + i % 2 * 8; },
        [&](u32 place) { return a.x + (u64)(a.routing.pair_at[tile.first_place + place] / a.top_k) * a.cols; }, shared, sums);
    u32 h = first_row / 2 + threadIdx.x / 32 * 8 + g;
    if (h >= width) return;
    const bf16* bias = a.bias + (u64)tile.expert * a.outs + 2 * h;
    float gate_bias = f32_of(bias[0]), up_bias = f32_of(bias[1]);
    bf16* out = a.routing.h + (u64)tile.first_place * width + h;
#pragma unroll
    for (int j = 0; j < (int)WIDE_PLACES / 8; ++j) {
#pragma unroll
        for (int e = 0; e < 2; ++e) {
            u32 place = 8 * j + 2 * t + e;
            if (place >= tile.places) continue;
            float gate = f32_of(bf16_of(sums[4 * j + e] + gate_bias)), up = f32_of(bf16_of(sums[4 * j + 2 + e] + up_bias));
            out[(u64)place * width] = bf16_of(swiglu(gate, up, a.limit));
        }
    }
}

// `outs` and `cols` are multiples of 64.
KERNEL __launch_bounds__(384, 1) experts_up_wide(const ExpertsArgs a) {
    DYNAMIC_SHARED(shared);
    u32 blocks = parts(a.outs, WIDE_ROWS), work = *a.routing.n_tiles * blocks;
    for (u32 at = blockIdx.x; at < work; at += gridDim.x) {
        Tile tile = a.routing.tiles[at / blocks];
        up_tile(a, tile, at % blocks * WIDE_ROWS, shared);
    }
}
