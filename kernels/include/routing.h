// Which rows go to which expert. An assignment is a row and one of its choices, `row * top_k + choice`; a sorted row is an
// assignment's position when they are sorted by expert (those of one expert keep their order). Mirrored in
// crates/engine/src/cuda/moe/routing.rs.
#pragma once
#include "common.h"

// Places of one expert that a block computes together.
struct Tile {
    u32 expert;
    u32 first_sorted_row;
    u32 rows;
    u32 unused;
};
ASSERT_SIZE(Tile, 16);

struct Routing {
    // Per assignment.
    u32* chosen;
    float* weights;
    // Assignment at each sorted row.
    u32* assignment_at;
    Tile* tiles;
    u32* n_tiles;
    // Per sorted row, `intermediate` wide; and per assignment, `hidden` wide.
    bf16* h;
    bf16* y;
};
ASSERT_SIZE(Routing, 56);

// A tile at once, without a word on whether there is one: both loads are under way together. A grid has no more blocks than there
// is room for tiles.
DEVICE Tile load_tile(const Routing& r, u32 at) {
    Vec16 v = load16(&r.tiles[at]);
    Tile tile = {v.w[0], v.w[1], v.w[2], v.w[3]};
    return tile;
}

// A row's experts and their weights, by one warp; at most 1024 experts, 32 choices.
DEVICE void topk_softmax_row(const Routing& r, const bf16* all_logits, u32 row, u32 experts, u32 top_k) {
    const bf16* logits = all_logits + (u64)row * experts;
    u32 lane = threadIdx.x % 32;
    u32 taken = 0, mine = 0;
    float my_logit = 0.0f, max = 0.0f;
    for (u32 choice = 0; choice < top_k; ++choice) {
        float best = 0.0f;
        u32 at = 0xffffffffu;
        for (u32 e = lane; e < experts; e += 32) {
            float l = f32_of(logits[e]);
            if (!(taken >> (e / 32) & 1u) && (at == 0xffffffffu || l > best)) {
                best = l;
                at = e;
            }
        }
        for (int step = 16; step > 0; step >>= 1) {
            float other = __shfl_xor_sync(ALL_LANES, best, step);
            u32 other_at = __shfl_xor_sync(ALL_LANES, at, step);
            bool better = at == 0xffffffffu || other > best || (!(best > other) && other_at < at);
            if (other_at != 0xffffffffu && better) {
                best = other;
                at = other_at;
            }
        }
        // With NaNs the lanes may disagree.
        at = __shfl_sync(ALL_LANES, at, 0);
        best = f32_of(logits[at]);
        if (at % 32 == lane) taken |= 1u << (at / 32);
        if (choice == 0) max = best;
        if (lane == choice) {
            mine = at;
            my_logit = best;
        }
    }
    float weight = lane < top_k ? expf(my_logit - max) : 0.0f;
    float total = 0.0f;
    for (u32 choice = 0; choice < top_k; ++choice) total += __shfl_sync(ALL_LANES, weight, choice);
    if (lane < top_k) {
        r.chosen[row * top_k + lane] = mine;
        r.weights[row * top_k + lane] = weight / total;
    }
}

// Assignments of 16 rows, with all choices that there can be.
const u32 FEW_ASSIGNMENTS = 16 * 32;

// What `moe_align` does, by one block for the assignments of at most 16 rows: an expert has no more of them than go into one tile.
// `shared`: two words for each. All of the block's threads call it, once the choices are written.
DEVICE void align_few(const Routing& r, u32 assignments, u32* shared) {
    u32 *chosen = shared, *is_first = shared + FEW_ASSIGNMENTS;
    __syncthreads();
    for (u32 i = threadIdx.x; i < assignments; i += blockDim.x) chosen[i] = r.chosen[i];
    __syncthreads();
    for (u32 i = threadIdx.x; i < assignments; i += blockDim.x) {
        u32 before = 0;
        for (u32 j = 0; j < i; ++j) before += chosen[j] == chosen[i];
        is_first[i] = before == 0;
    }
    __syncthreads();
    for (u32 i = threadIdx.x; i < assignments; i += blockDim.x) {
        u32 expert = chosen[i], of_smaller = 0, before = 0, of_this = 0, tile = 0;
        for (u32 j = 0; j < assignments; ++j) {
            u32 same = chosen[j] == expert, smaller = chosen[j] < expert;
            of_smaller += smaller;
            of_this += same;
            before += same & (j < i);
            tile += smaller & is_first[j];
        }
        r.assignment_at[of_smaller + before] = i;
        if (before == 0) {
            Tile t = {expert, of_smaller, of_this, 0};
            r.tiles[tile] = t;
        }
    }
    if (threadIdx.x == 0) {
        u32 tiles = 0;
        for (u32 j = 0; j < assignments; ++j) tiles += is_first[j];
        *r.n_tiles = tiles;
    }
}
