// The experts' first product with bias and clamped SwiGLU, the reference: h = swiglu(x W1^T + b1) for each place.
// Reference: crates/engine/src/cpu/experts.rs
#include "include/moe_reference.h"

KERNEL moe_gate_up_reference(const MoeArgs a) {
    kernel_begins();
    __shared__ MoeReferenceShared shared;
    __shared__ float sums[16][33];
    if (blockIdx.y >= *a.routing.n_tiles) return;
    Tile tile = a.routing.tiles[blockIdx.y];
    u32 first_out = blockIdx.x * 32, lane = threadIdx.x % 32, group = threadIdx.x / 32;
    float sum[2];
    moe_reference_product(
        a, tile, first_out,
        [&](u32 place) { return a.x + (u64)(a.routing.pair_at[tile.first_place + place] / a.top_k) * a.cols; }, shared, sum);
    u32 out = first_out + lane;
    float bias = out < a.outs ? f32_of(a.bias[(u64)tile.expert * a.outs + out]) : 0.0f;
    for (u32 i = 0; i < 2; ++i) sums[group + 8 * i][lane] = f32_of(bf16_of(sum[i] + bias));
    __syncthreads();
    // Gate and up are neighbours; 16 results a place.
    u32 place = threadIdx.x / 16, i = threadIdx.x % 16, width = a.outs / 2;
    if (place < tile.places && first_out / 2 + i < width) {
        a.routing.h[(u64)(tile.first_place + place) * width + first_out / 2 + i] =
            bf16_of(swiglu(sums[place][2 * i], sums[place][2 * i + 1], a.limit));
    }
}
