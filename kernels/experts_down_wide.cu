// The experts' second product with bias for many rows a step (prefill), on Hopper's tensor cores; `combine` follows.
// Reference: crates/engine/src/cpu/experts.rs
// SASS: HGMMA.64x128x16.F32.BF16 LDGSTS.E.BYPASS.128
#include "include/experts_wide.h"

DEVICE void down_tile(const ExpertsArgs& a, const Tile& tile, u32 first_row, unsigned char* shared) {
    u32 lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    float sums[WIDE_PLACES / 2];
    wide_product(
        a, tile, first_row, [](u32 i) { return i; }, [&](u32 place) { return a.routing.h + (u64)(tile.first_place + place) * a.cols; },
        shared, sums);
    u32 row = first_row + threadIdx.x / 32 * 16 + g;
    if (row >= a.outs) return;
    const bf16* bias = a.bias + (u64)tile.expert * a.outs + row;
    float low_bias = f32_of(bias[0]), high_bias = f32_of(bias[8]);
#pragma unroll
    for (int j = 0; j < (int)WIDE_PLACES / 8; ++j) {
#pragma unroll
        for (int e = 0; e < 2; ++e) {
            u32 place = 8 * j + 2 * t + e;
            if (place < tile.places) {
                bf16* out = a.routing.y + (u64)a.routing.pair_at[tile.first_place + place] * a.outs + row;
                out[0] = bf16_of(sums[4 * j + e] + low_bias);
                out[8] = bf16_of(sums[4 * j + 2 + e] + high_bias);
            }
        }
    }
}

// `outs` and `cols` are multiples of 64.
KERNEL __launch_bounds__(384, 1) experts_down_wide(const ExpertsArgs a) {
    DYNAMIC_SHARED(shared);
    u32 blocks = parts(a.outs, WIDE_ROWS), work = *a.routing.n_tiles * blocks;
    for (u32 at = blockIdx.x; at < work; at += gridDim.x) {
        Tile tile = a.routing.tiles[at / blocks];
        down_tile(a, tile, at % blocks * WIDE_ROWS, shared);
    }
}
