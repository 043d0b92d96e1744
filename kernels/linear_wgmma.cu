// Dense product for many rows a step (prefill, large decode steps): out = x W^T + b, on Hopper's tensor cores.
// Reference: crates/engine/src/cpu/product.rs
// SASS: HGMMA.64x160x16.F32.BF16 LDGSTS.E.BYPASS.128 MEMBAR
//
// Where there are fewer tiles than multiprocessors, several blocks take a tile, each a part of its columns: gridDim.x is so many
// times the tiles side by side. The last of them to end adds the parts, in their order.
#include "include/linear_wgmma.h"

struct LinearWgmmaArgs {
    LinearArgs linear;
    // [tile][part][DENSE_SUMS][thread]; not used with one part.
    float* partials;
    // For each tile, how many of its blocks have ended; 0 between launches.
    u32* ended;
};
ASSERT_SIZE(LinearWgmmaArgs, 64);
ASSERT_OFFSET(LinearWgmmaArgs, partials, 48);

// Of a thread.
const u32 DENSE_SUMS = 2 * (DENSE_OUTS / 2);
const u32 DENSE_THREADS = 256;

// Adds the parts of all blocks of this tile, if this is the last of them. A group of four warps without rows has no sums.
DEVICE bool linear_wgmma_last(const LinearWgmmaArgs& a, u32 tile, u32 part, u32 parts, u32 halves, unsigned char* shared,
                              float (&sums)[2][DENSE_OUTS / 2]) {
    // All products are over behind the barrier.
    u32* is_last = (u32*)shared;
    float* mine = a.partials + ((u64)tile * parts * DENSE_SUMS) * DENSE_THREADS + threadIdx.x;
    float* own = mine + (u64)part * DENSE_SUMS * DENSE_THREADS;
#pragma unroll
    for (u32 i = 0; i < DENSE_SUMS; ++i) {
        if (i / (DENSE_OUTS / 2) < halves) own[i * DENSE_THREADS] = sums[i / (DENSE_OUTS / 2)][i % (DENSE_OUTS / 2)];
    }
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        bool last = atomicAdd(&a.ended[tile], 1u) + 1 == parts;
        if (last) a.ended[tile] = 0;
        *is_last = last;
        // The others' parts are read after their counts.
        __threadfence();
    }
    __syncthreads();
    if (!*is_last) return false;
#pragma unroll
    for (u32 i = 0; i < DENSE_SUMS; ++i) sums[i / (DENSE_OUTS / 2)][i % (DENSE_OUTS / 2)] = 0.0f;
    for (u32 i = 0; i < parts; ++i, mine += DENSE_SUMS * DENSE_THREADS) {
#pragma unroll
        for (u32 half = 0; half < 2; ++half) {
            if (half >= halves) break;
            // As many loads under way as there are registers for.
#pragma unroll
            for (u32 first = 0; first < DENSE_OUTS / 2; first += 40) {
                float here[40];
#pragma unroll
                for (u32 j = 0; j < 40; ++j) here[j] = load_written(mine + (half * (DENSE_OUTS / 2) + first + j) * DENSE_THREADS);
#pragma unroll
                for (u32 j = 0; j < 40; ++j) sums[half][first + j] += here[j];
            }
        }
    }
    return true;
}

// `cols` is a multiple of 64, `outs` of 8.
KERNEL __launch_bounds__(256, 1) linear_wgmma(const LinearWgmmaArgs args) {
    DYNAMIC_SHARED(shared);
    const LinearArgs& a = args.linear;
    u32 across = ceil_div(a.outs, DENSE_OUTS), x = blockIdx.x % across, part = blockIdx.x / across, parts = gridDim.x / across;
    u32 first_out = x * DENSE_OUTS, first_row = blockIdx.y * DENSE_ROWS, t = threadIdx.x % 4;
    float sums[2][DENSE_OUTS / 2];
    linear_wgmma_sums(a, first_out, first_row, part, parts, shared, sums);
    if (parts > 1) {
        u32 halves = linear_wgmma_halves(a.rows - first_row);
        if (!linear_wgmma_last(args, blockIdx.y * across + x, part, parts, halves, shared, sums)) return;
    }
    u32 row = first_row + linear_wgmma_row();
#pragma unroll
    for (u32 j = 0; j < DENSE_OUTS / 8; ++j) {
        u32 out = first_out + 8 * j + 2 * t;
        if (out >= a.outs) break;
        float low_bias = a.bias ? a.bias[out] : 0.0f, high_bias = a.bias ? a.bias[out + 1] : 0.0f;
#pragma unroll
        for (u32 i = 0; i < 4; ++i) {
            u32 at_row = row + i / 2 * 128 + i % 2 * 8;
            const float* sum = &sums[i / 2][4 * j + i % 2 * 2];
            if (at_row < a.rows) *(u32*)(a.out + (u64)at_row * a.outs + out) = pair_of(sum[0] + low_bias, sum[1] + high_bias);
        }
    }
}
