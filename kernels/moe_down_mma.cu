// The experts' second product with bias for few rows a step (decode); `moe_combine` follows. Bandwidth-bound like
// `moe_gate_up_mma`.
// Reference: crates/engine/src/cpu/experts.rs
// SASS: HMMA.16816.F32.BF16 LDG.E.128 LDG.E.NA.128
#include "include/moe_mma.h"

template <int ROWS8>
DEVICE void down_tile(const MoeArgs& a, Tile tile, u32 row_block, float* shared) {
    u32 lane = threadIdx.x % 32, g = lane / 4, first = row_block * MOE_MMA_OUTS;
    MoeMmaSums<ROWS8> sums;
    moe_mma_product<ROWS8>(
        a, tile.expert, row_block,
        [&](u32 p) { return a.routing.h + (u64)(tile.first_sorted_row + min_u32(8 * p + g, tile.rows - 1)) * a.cols; }, sums);
    moe_mma_share<ROWS8>(sums, shared);
    u32 strip = threadIdx.x / 64, half = threadIdx.x % 2, at = threadIdx.x % 64 / 2;
    for (u32 p = 0; p < ROWS8; ++p) {
        u32 tile_row = 8 * p + 2 * (at % 4) + half;
        if (tile_row >= tile.rows) continue;
        u32 assignment = a.routing.assignment_at[tile.first_sorted_row + tile_row];
        u32 row = first + strip * 16 + at / 4 * 2;
        const bf16* bias = a.bias + (u64)tile.expert * a.outs + row;
        float low = moe_mma_total<ROWS8>(shared, strip, p, half, at) + f32_of(bias[0]);
        float high = moe_mma_total<ROWS8>(shared, strip, p, 2 + half, at) + f32_of(bias[1]);
        *(u32*)(a.routing.y + (u64)assignment * a.outs + row) = pair_of(low, high);
    }
}

// `outs` is a multiple of 64.
KERNEL __launch_bounds__(256, 2) moe_down_mma(const MoeArgs a) {
    kernel_begins();
    __shared__ float shared[MOE_MMA_WARPS * 32 * 32];
    moe_mma_all(a, [&](Tile tile, u32 row_block) {
        if (tile.rows <= 8) {
            down_tile<1>(a, tile, row_block, shared);
        } else {
            down_tile<2>(a, tile, row_block, shared);
        }
    });
}
