// The experts' second product with bias, the reference, and the weighted sum over a row's experts.
// Reference: crates/engine/src/cpu/experts.rs
#include "include/moe_reference.h"

KERNEL __launch_bounds__(256) moe_down_reference(const MoeArgs a) {
    kernel_begins();
    __shared__ MoeReferenceShared shared;
    if (blockIdx.y >= *a.routing.n_tiles) return;
    Tile tile = a.routing.tiles[blockIdx.y];
    u32 first_out = blockIdx.x * 32, lane = threadIdx.x % 32, group = threadIdx.x / 32;
    float sum[2];
    moe_reference_product(
        a, tile, first_out, [&](u32 tile_row) { return a.routing.h + (u64)(tile.first_sorted_row + tile_row) * a.cols; }, shared,
        sum);
    u32 out = first_out + lane;
    if (out >= a.outs) return;
    float bias = f32_of(a.bias[(u64)tile.expert * a.outs + out]);
    for (u32 i = 0; i < 2; ++i) {
        u32 tile_row = group + 8 * i;
        if (tile_row < tile.rows) {
            u32 assignment = a.routing.assignment_at[tile.first_sorted_row + tile_row];
            a.routing.y[(u64)assignment * a.outs + out] = bf16_of(sum[i] + bias);
        }
    }
}

struct MoeCombineArgs {
    const bf16* y;
    const float* weights;
    bf16* out;
    u32 cols;
    u32 top_k;
};
ASSERT_SIZE(MoeCombineArgs, 32);
ASSERT_OFFSET(MoeCombineArgs, cols, 24);

// One block per row; the experts in the order of their weights.
KERNEL __launch_bounds__(256) moe_combine(const MoeCombineArgs a) {
    kernel_begins();
    u32 row = blockIdx.x;
    for (u32 c = threadIdx.x; c < a.cols; c += blockDim.x) {
        float sum = 0.0f;
        for (u32 i = 0; i < a.top_k; ++i) {
            u64 assignment = (u64)row * a.top_k + i;
            sum = fmaf(a.weights[assignment], f32_of(a.y[assignment * a.cols + c]), sum);
        }
        a.out[(u64)row * a.cols + c] = bf16_of(sum);
    }
}
