// The experts' first product with bias and clamped SwiGLU for few rows a step (decode). Bandwidth-bound: an expert's
// 64 rows of weights (97,920 bytes at 2,880 columns) against at most 16 rows of activations.
// Reference: crates/engine/src/cpu/experts.rs
// SASS: HMMA.16816.F32.BF16 LDG.E.128 LDG.E.NA.128
#include "include/moe_mma.h"

// Even rows of a matrix are gates, odd ones their ups: both of a pair end in one lane.
template <int ROWS8>
DEVICE void up_tile(const MoeArgs& a, Tile tile, u32 row_block, float* shared) {
    u32 lane = threadIdx.x % 32, g = lane / 4, first = row_block * (MOE_MMA_OUTS / 2), width = a.outs / 2;
    MoeMmaSums<ROWS8> sums;
    moe_mma_product<ROWS8>(
        a, tile.expert, row_block,
        [&](u32 p) {
            u32 tile_row = min_u32(8 * p + g, tile.rows - 1);
            return a.x + (u64)(a.routing.assignment_at[tile.first_sorted_row + tile_row] / a.top_k) * a.cols;
        },
        sums);
    moe_mma_share<ROWS8>(sums, shared);
    u32 strip = threadIdx.x / 64, half = threadIdx.x % 2, at = threadIdx.x % 64 / 2;
    u32 h = first + strip * 8 + at / 4;
    const bf16* bias = a.bias + (u64)tile.expert * a.outs + 2 * h;
    for (u32 p = 0; p < ROWS8; ++p) {
        u32 tile_row = 8 * p + 2 * (at % 4) + half;
        if (tile_row >= tile.rows) continue;
        float gate = f32_of(bf16_of(moe_mma_total<ROWS8>(shared, strip, p, half, at) + f32_of(bias[0])));
        float up = f32_of(bf16_of(moe_mma_total<ROWS8>(shared, strip, p, 2 + half, at) + f32_of(bias[1])));
        a.routing.h[(u64)(tile.first_sorted_row + tile_row) * width + h] = bf16_of(swiglu(gate, up, a.limit));
    }
}

// `outs` is a multiple of 64.
KERNEL __launch_bounds__(256, 2) moe_gate_up_mma(const MoeArgs a) {
    kernel_begins();
    __shared__ float shared[MOE_MMA_WARPS * 32 * 32];
    moe_mma_all(a, [&](Tile tile, u32 row_block) {
        if (tile.rows <= 8) {
            up_tile<1>(a, tile, row_block, shared);
        } else {
            up_tile<2>(a, tile, row_block, shared);
        }
    });
}
