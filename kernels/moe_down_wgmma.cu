// The experts' second product with bias for many rows a step (prefill), on Hopper's tensor cores; `moe_combine` follows.
// Reference: crates/engine/src/cpu/experts.rs
// SASS: HGMMA.64x128x16.F32.BF16 LDGSTS.E.BYPASS.128
#include "include/moe_wgmma.h"

// `outs` and `cols` are multiples of 64.
KERNEL __launch_bounds__(512, 1) moe_down_wgmma(const MoeArgs a) {
    kernel_begins();
    DYNAMIC_SHARED(shared);
    u32 lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    moe_wgmma_all(
        a, a.routing.h, [&](const Tile& tile, u32 tile_row) { return tile.first_sorted_row + tile_row; },
        [&](const MoeWgmmaWork& work, const float (&sums)[MOE_WGMMA_ROWS / 2]) {
            u32 row = work.first_row + threadIdx.x / 32 * 16 + 2 * g, tile_rows = work.tile.rows;
            if (row >= a.outs) return;
            const bf16* bias = a.bias + (u64)work.tile.expert * a.outs + row;
            float low_bias = f32_of(bias[0]), high_bias = f32_of(bias[1]);
            const u32* assignment_at = a.routing.assignment_at + work.tile.first_sorted_row;
#pragma unroll
            for (u32 j = 0; j < MOE_WGMMA_ROWS / 8; ++j) {
#pragma unroll
                for (u32 e = 0; e < 2; ++e) {
                    u32 tile_row = 8 * j + 2 * t + e;
                    if (tile_row >= tile_rows) continue;
                    *(u32*)(a.routing.y + (u64)assignment_at[tile_row] * a.outs + row) =
                        pair_of(sums[4 * j + e] + low_bias, sums[4 * j + 2 + e] + high_bias);
                }
            }
        },
        shared);
}
