// The router's product for few rows a step, and the top-k and softmax of its logits, in one kernel; `moe_align` follows, but for
// 16 rows and less, which are scheduled here.
// Reference: crates/engine/src/cpu/experts.rs
// SASS: HMMA.16816.F32.BF16 LDG.E.NA.128 MEMBAR
//
// Blocks as in linear_mma.cu. The last of those with the same 16 rows to end chooses the rows' experts.
#include "include/linear_mma.h"
#include "include/routing.h"

struct RouterArgs {
    LinearArgs linear;
    Routing routing;
    // Rows of the step that are not there to fill it up; they come first.
    const u32* n_rows;
    // For each 16 rows, how many blocks have ended; 0 between launches.
    u32* ended;
    u32 top_k;
    u32 unused;
};
ASSERT_SIZE(RouterArgs, 128);
ASSERT_OFFSET(RouterArgs, n_rows, 104);

KERNEL __launch_bounds__(256, 2) router(const RouterArgs a) {
    __shared__ float shared[LINEAR_WARPS * 16 * 32];
    __shared__ bool is_last;
    next_may_start();
    if (a.linear.rows - blockIdx.y * 16 <= 8) {
        linear_tile<1>(a.linear, shared);
    } else {
        linear_tile<2>(a.linear, shared);
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        // The block's logits before its count, and the others' after theirs.
        __threadfence();
        is_last = atomicAdd(&a.ended[blockIdx.y], 1u) + 1 == gridDim.x;
        if (is_last) a.ended[blockIdx.y] = 0;
        __threadfence();
    }
    __syncthreads();
    if (!is_last) return;
    u32 end = min_u32(blockIdx.y * 16 + 16, *a.n_rows);
    for (u32 row = blockIdx.y * 16 + threadIdx.x / 32; row < end; row += LINEAR_WARPS) {
        topk_softmax_row(a.routing, a.linear.out, row, a.linear.outs, a.top_k);
    }
    // This block has chosen for all rows of the step.
    if (gridDim.y == 1) align_few(a.routing, end * a.top_k, (u32*)shared);
}
