// The experts' second product with bias for few rows a step (decode); `moe_combine` follows. Bandwidth-bound like
// `moe_gate_up_mma`.
// Reference: crates/engine/src/cpu/experts.rs
// SASS: HMMA.16816.F32.BF16 LDG.E.128 LDG.E.NA.128
#include "include/moe_mma.h"

template <int ROWS8>
DEVICE void down_tile(const MoeArgs& a, Tile tile, float* shared) {
    u32 lane = threadIdx.x % 32, g = lane / 4, first = blockIdx.x * MOE_MMA_OUTS;
    MoeMmaSums<ROWS8> sums;
    moe_mma_product<ROWS8>(
        a, tile.expert, [&](u32 strip, u32 half) { return first + strip * 16 + half * 8 + g; },
        [&](u32 p) {
            u32 tile_row = 8 * p + g;
            return tile_row < tile.rows ? a.routing.h + (u64)(tile.first_sorted_row + tile_row) * a.cols : (const bf16*)0;
        },
        sums);
    moe_mma_share<ROWS8>(sums, shared);
    // Read again: kept over the product it would cost registers that there are none of.
    tile = a.routing.tiles[blockIdx.y];
    u32 strip = threadIdx.x / 64, half = threadIdx.x % 2, at = threadIdx.x % 64 / 2;
    for (u32 p = 0; p < ROWS8; ++p) {
        u32 tile_row = 8 * p + 2 * (at % 4) + half;
        if (tile_row >= tile.rows) continue;
        u32 assignment = a.routing.assignment_at[tile.first_sorted_row + tile_row];
        for (u32 upper = 0; upper < 2; ++upper) {
            u32 row = first + strip * 16 + upper * 8 + at / 4;
            float bias = f32_of(a.bias[(u64)tile.expert * a.outs + row]);
            a.routing.y[(u64)assignment * a.outs + row] = bf16_of(moe_mma_total<ROWS8>(shared, strip, p, 2 * upper + half, at) + bias);
        }
    }
}

// `outs` is a multiple of 64.
KERNEL __launch_bounds__(256, 2) moe_down_mma(const MoeArgs a) {
    kernel_begins();
    __shared__ float shared[MOE_MMA_WARPS * 32 * 32];
    Tile tile = load_tile(a.routing, blockIdx.y);
    // A tile that is there has rows; asked so, both loads are over before the branch.
    if ((blockIdx.y >= *a.routing.n_tiles) | (tile.rows == 0)) return;
    if (tile.rows <= 8) {
        down_tile<1>(a, tile, shared);
    } else {
        down_tile<2>(a, tile, shared);
    }
}
