// Dense product of a tile for many rows, on Hopper's tensor cores.
//
// A block of two times four warps takes 256 rows of x (the first four warps rows 0-63 and 128-191, the others the rest) and
// 160 outputs, which divides 5,120 and 2,880; 64 columns at a step. Both operands come through a ring of stages in shared
// memory, two steps ahead; a step's buffer is filled again two steps later, when all warps have waited for its products.
#pragma once
#include "linear.h"
#include "wgmma.h"

const u32 DENSE_ROWS = 256;
const u32 DENSE_OUTS = 160;
const u32 DENSE_STAGES = 4;
const u32 DENSE_AHEAD = DENSE_STAGES - 2;
const u32 DENSE_STAGE_X = DENSE_ROWS * WGMMA_ROW;
// Bytes; the host computes the same.
const u32 DENSE_STAGE = DENSE_STAGE_X + DENSE_OUTS * WGMMA_ROW;
// Rows that 256 threads copy at once, 16 bytes each.
const u32 DENSE_ROUND = 32;

// One step's products for one or both halves of a group's rows.
template <int HALVES>
DEVICE void linear_multiply(float (&sums)[2][DENSE_OUTS / 2], u64 x, u64 w) {
    wgmma_fence();
#pragma unroll
    for (int i = 0; i < 4; ++i) {
#pragma unroll
        for (int half = 0; half < HALVES; ++half) {
            // 128 rows on.
            Wgmma<DENSE_OUTS>::multiply(sums[half], x + half * (128 * WGMMA_ROW / 16) + 2 * i, w + 2 * i);
        }
    }
    wgmma_commit();
}

// How many of a thread's two halves of rows are there.
DEVICE u32 linear_wgmma_halves(u32 rows) {
    u32 first = threadIdx.x / 128 * 64;
    return first + 128 < rows ? 2 : first < rows ? 1 : 0;
}

// A thread's sums of its tile over part `part` of `parts` of the columns, as `wgmma.h` has them: the second half are rows 128 on.
// `cols` is a multiple of 64, `outs` of 8.
DEVICE void linear_wgmma_sums(const LinearArgs& a, u32 first_out, u32 first_row, u32 part, u32 parts, unsigned char* shared,
                              float (&sums)[2][DENSE_OUTS / 2]) {
    u32 thread = threadIdx.x, group = thread / 128, all = a.cols / WGMMA_COLS, begin = all * part / parts;
    u32 steps = all * (part + 1) / parts - begin;
    u32 rows = min_u32(DENSE_ROWS, a.rows - first_row), outs = min_u32(DENSE_OUTS, a.outs - first_out);
    u32 at = shared_address(shared), mine = thread / 8;
    const bf16* x = a.x + (u64)(first_row + mine) * a.cols + begin * WGMMA_COLS + thread % 8 * 8;
    const bf16* w = a.weight + (u64)(first_out + mine) * a.cols + begin * WGMMA_COLS + thread % 8 * 8;
    u32 to = at + wgmma_chunk(mine, thread % 8);
    auto copy_x = [&](u32 k) {
        if (k < steps) {
            u32 stage = to + k % DENSE_STAGES * DENSE_STAGE;
#pragma unroll
            for (u32 i = 0; i < DENSE_ROWS / DENSE_ROUND; ++i) {
                // Rows that are not there give sums that nobody stores.
                if (i * DENSE_ROUND < rows) {
                    u32 bytes = mine + i * DENSE_ROUND < rows ? 16 : 0;
                    copy16(stage + i * (DENSE_ROUND * WGMMA_ROW), x + (u64)(i * DENSE_ROUND) * a.cols + k * WGMMA_COLS, bytes);
                }
            }
        }
    };
    auto copy_w = [&](u32 k) {
        if (k < steps) {
            u32 stage = to + k % DENSE_STAGES * DENSE_STAGE;
#pragma unroll
            for (u32 i = 0; i < DENSE_OUTS / DENSE_ROUND; ++i) {
                u32 bytes = mine + i * DENSE_ROUND < outs ? 16 : 0;
                copy16_ahead(stage + DENSE_STAGE_X + i * (DENSE_ROUND * WGMMA_ROW), w + (u64)(i * DENSE_ROUND) * a.cols + k * WGMMA_COLS, bytes);
            }
        }
    };
    // Weights are there before any kernel of the step. Their first copies belong to the first group.
    next_may_start();
    for (u32 k = 0; k < DENSE_AHEAD; ++k) copy_w(k);
    wait_for_previous();
    for (u32 k = 0; k < DENSE_AHEAD; ++k) {
        copy_x(k);
        copy_commit();
    }
#pragma unroll
    for (u32 i = 0; i < DENSE_OUTS; ++i) sums[i / (DENSE_OUTS / 2)][i % (DENSE_OUTS / 2)] = 0.0f;
    u32 halves = linear_wgmma_halves(rows);
    for (u32 k = 0; k < steps; ++k) {
        copy_wait<DENSE_AHEAD - 1>();
        wgmma_operands_written();
        __syncthreads();
        copy_x(k + DENSE_AHEAD);
        copy_w(k + DENSE_AHEAD);
        copy_commit();
        u32 stage = at + k % DENSE_STAGES * DENSE_STAGE;
        u64 x_at = wgmma_descriptor(stage + group * (64 * WGMMA_ROW)), w_at = wgmma_descriptor(stage + DENSE_STAGE_X);
        if (halves == 2) {
            linear_multiply<2>(sums, x_at, w_at);
        } else if (halves == 1) {
            linear_multiply<1>(sums, x_at, w_at);
        }
        wgmma_wait<1>();
    }
    wgmma_wait<0>();
    wgmma_pin(sums[0]);
    wgmma_pin(sums[1]);
}

// The first of the four rows that a thread has sums of: this, 8 on, 128 on, 136 on.
DEVICE u32 linear_wgmma_row() { return threadIdx.x / 128 * 64 + threadIdx.x % 128 / 32 * 16 + threadIdx.x % 32 / 4; }
