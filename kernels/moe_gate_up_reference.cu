// The experts' first product with bias and clamped SwiGLU, the reference: h = swiglu(x W1^T + b1) for each sorted row.
// Reference: crates/engine/src/cpu/experts.rs
#include "include/moe_reference.h"

KERNEL __launch_bounds__(256) moe_gate_up_reference(const MoeArgs a) {
    kernel_begins();
    __shared__ MoeReferenceShared shared;
    __shared__ float sums[16][33];
    if (blockIdx.y >= *a.routing.n_tiles) return;
    Tile tile = a.routing.tiles[blockIdx.y];
    u32 first_out = blockIdx.x * 32, lane = threadIdx.x % 32, group = threadIdx.x / 32;
    float sum[2];
    moe_reference_product(
        a, tile, first_out,
        [&](u32 tile_row) { return a.x + (u64)(a.routing.assignment_at[tile.first_sorted_row + tile_row] / a.top_k) * a.cols; },
        shared, sum);
    u32 out = first_out + lane;
    float bias = out < a.outs ? f32_of(a.bias[(u64)tile.expert * a.outs + out]) : 0.0f;
    for (u32 i = 0; i < 2; ++i) sums[group + 8 * i][lane] = f32_of(bf16_of(sum[i] + bias));
    __syncthreads();
    // Gate and up are neighbours; 16 results a row.
    u32 tile_row = threadIdx.x / 16, i = threadIdx.x % 16, width = a.outs / 2;
    if (tile_row < tile.rows && first_out / 2 + i < width) {
        a.routing.h[(u64)(tile.first_sorted_row + tile_row) * width + first_out / 2 + i] =
            bf16_of(swiglu(sums[tile_row][2 * i], sums[tile_row][2 * i + 1], a.limit));
    }
}
