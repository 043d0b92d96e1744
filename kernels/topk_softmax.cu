// The experts' top-k and softmax for each row, and the schedule that groups the rows by expert.
// Reference: crates/engine/src/cpu/experts.rs
#include "include/routing.h"

struct TopkArgs {
    Routing routing;
    const bf16* logits;
    // Rows of the step that are not there to fill it up; they come first.
    const u32* n_rows;
    // All rows of the step.
    u32 rows;
    u32 experts;
    u32 top_k;
    // Most rows of a tile, and what they are a multiple of but for an expert's last.
    u32 tile;
    u32 unit;
    u32 unused;
};
ASSERT_SIZE(TopkArgs, 96);
ASSERT_OFFSET(TopkArgs, rows, 72);

// One warp per row.
KERNEL __launch_bounds__(128) topk_softmax(const TopkArgs a) {
    kernel_begins();
    u32 row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
    if (row < *a.n_rows) topk_softmax_row(a.routing, a.logits, row, a.experts, a.top_k);
}

// Words that warps count in, and shared memory for them.
const u32 COUNTS = 8192;

// One block of 1024 threads. Its warps cut the assignments among them, as many warps as there is room to count in: each counts its
// part's experts, thread e finds where expert e's rows and each warp's share of them begin, and each warp puts its part in
// place, in the order of the assignments.
KERNEL __launch_bounds__(1024) moe_align(const TopkArgs a) {
    kernel_begins();
    __shared__ u32 counts[COUNTS];
    __shared__ u32 sorted_rows[1024];
    __shared__ u32 tiles[1024];
    u32 e = threadIdx.x, assignments = *a.n_rows * a.top_k, warps = min_u32(32, COUNTS / a.experts);
    u32 warp = e / 32, lane = e % 32, part = ceil_div(ceil_div(assignments, warps), 32) * 32;
    u32 begin = min_u32(warp * part, assignments), end = warp < warps ? min_u32(begin + part, assignments) : begin;
    u32* mine = counts + (warp < warps ? warp : 0) * a.experts;
    for (u32 i = e; i < warps * a.experts; i += 1024) counts[i] = 0;
    __syncthreads();
    for (u32 assignment = begin + lane; assignment < end; assignment += 32) atomicAdd(&mine[a.routing.chosen[assignment]], 1u);
    __syncthreads();
    // Thread e: expert e.
    u32 count = 0;
    if (e < a.experts) {
        for (u32 w = 0; w < warps; ++w) count += counts[w * a.experts + e];
    }
    // As many tiles as needed, all but the last whole units, and as even as that allows.
    u32 units = ceil_div(count, a.unit), my_tiles = ceil_div(units * a.unit, a.tile);
    sorted_rows[e] = count;
    tiles[e] = my_tiles;
    __syncthreads();
    // Inclusive sums.
    for (u32 step = 1; step < 1024; step *= 2) {
        u32 p = e >= step ? sorted_rows[e - step] : 0, t = e >= step ? tiles[e - step] : 0;
        __syncthreads();
        sorted_rows[e] += p;
        tiles[e] += t;
        __syncthreads();
    }
    u32 sorted_row = sorted_rows[e] - count, tile = tiles[e] - my_tiles;
    if (e == 1023) *a.routing.n_tiles = tiles[e];
    for (u32 i = 0, at = sorted_row; i < my_tiles; ++i) {
        u32 size = min_u32((units / my_tiles + (i < units % my_tiles)) * a.unit, sorted_row + count - at);
        Tile t = {e, at, size, 0};
        a.routing.tiles[tile + i] = t;
        at += size;
    }
    // From now on: where a warp's next assignment of an expert goes.
    if (e < a.experts) {
        for (u32 w = 0; w < warps; ++w) {
            u32 here = counts[w * a.experts + e];
            counts[w * a.experts + e] = sorted_row;
            sorted_row += here;
        }
    }
    __syncthreads();
    for (u32 first = begin; first < end; first += 32) {
        u32 assignment = first + lane, expert = assignment < end ? a.routing.chosen[assignment] : 0xffffffffu;
        u32 same = __match_any_sync(ALL_LANES, expert), before = __popc(same & ((1u << lane) - 1));
        u32 base = assignment < end ? mine[expert] : 0;
        __syncwarp();
        if (assignment < end) {
            a.routing.assignment_at[base + before] = assignment;
            if (before == 0) mine[expert] = base + __popc(same);
        }
        __syncwarp();
    }
}
