// Dense product of a tile for few rows, on the tensor cores.
//
// A block takes 32 rows of the matrix and 16 rows of x; its 8 warps cut the columns among them. A lane loads 16 bytes: eight
// columns of matrix rows g and g + 8 of two 16-row strips, and the same columns of rows g and g + 8 of x, whose first four
// are the k of one product and whose last four those of the next.
#pragma once
#include "linear.h"
#include "mma.h"

const u32 LINEAR_ROWS = 32;
const u32 LINEAR_WARPS = 8;

// The warps' parts of each sum, for `linear_sum`, known to all threads. `cols` is a multiple of 32.
template <int ROWS8>
DEVICE void linear_sums(const LinearArgs& a, u32 first_out, u32 first_row, float* shared) {
    u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4;
    u32 spans = a.cols / 32, begin = spans * warp / LINEAR_WARPS, end = spans * (warp + 1) / LINEAR_WARPS;
    const Vec16 nothing = {{0, 0, 0, 0}};
    float sums[2][ROWS8][4];
    const bf16 *w[2][2], *x[ROWS8];
#pragma unroll
    for (int s = 0; s < 2; ++s) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            u32 out = first_out + s * 16 + half * 8 + g;
            // Beyond the last: any row, dropped at the end.
            w[s][half] = a.weight + (u64)min_u32(out, a.outs - 1) * a.cols + 8 * t;
        }
#pragma unroll
        for (int r = 0; r < ROWS8; ++r) {
#pragma unroll
            for (int i = 0; i < 4; ++i) sums[s][r][i] = 0.0f;
        }
    }
#pragma unroll
    for (int r = 0; r < ROWS8; ++r) {
        u32 row = first_row + 8 * r + g;
        x[r] = row < a.rows ? a.x + (u64)row * a.cols + 8 * t : (const bf16*)0;
    }
    // Four spans' loads are under way before the first is used.
    Vec16 weights[4][2][2];
    auto load = [&](u32 span) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
#pragma unroll
            for (int s = 0; s < 2; ++s) {
#pragma unroll
                for (int half = 0; half < 2; ++half) {
                    weights[i][s][half] = span + i < end ? load16_once(w[s][half] + (span + i) * 32) : nothing;
                }
            }
        }
    };
    // Weights are there before any kernel of the step.
    load(begin);
    wait_for_previous();
    for (u32 span = begin; span < end; span += 4) {
        if (span > begin) load(span);
        // Of x as many spans at once as there are registers for.
        const int BATCH = 4 / ROWS8;
#pragma unroll
        for (int first = 0; first < 4; first += BATCH) {
            Vec16 b[BATCH][ROWS8];
#pragma unroll
            for (int i = 0; i < BATCH; ++i) {
#pragma unroll
                for (int r = 0; r < ROWS8; ++r) {
                    b[i][r] = span + first + i < end && x[r] ? load16(x[r] + (span + first + i) * 32) : nothing;
                }
            }
#pragma unroll
            for (int i = 0; i < BATCH; ++i) {
#pragma unroll
                for (int r = 0; r < ROWS8; ++r) {
#pragma unroll
                    for (int s = 0; s < 2; ++s) {
                        const Vec16 &low = weights[first + i][s][0], &high = weights[first + i][s][1];
                        mma_bf16(sums[s][r], low.w[0], high.w[0], low.w[1], high.w[1], b[i][r].w[0], b[i][r].w[1]);
                        mma_bf16(sums[s][r], low.w[2], high.w[2], low.w[3], high.w[3], b[i][r].w[2], b[i][r].w[3]);
                    }
                }
            }
        }
    }
    // [warp][strip][eight rows][as mma leaves them][lane]
    const u32 values = 2 * ROWS8 * 4;
#pragma unroll
    for (int i = 0; i < 2 * ROWS8 * 4; ++i) {
        shared[(warp * values + i) * 32 + lane] = sums[i / (ROWS8 * 4)][i / 4 % ROWS8][i % 4];
    }
    __syncthreads();
}

// Sum `e` of the block's 2 * ROWS8 * 4 * 32.
template <int ROWS8>
DEVICE float linear_sum(const float* shared, u32 e) {
    float sum = 0.0f;
    for (u32 k = 0; k < LINEAR_WARPS; ++k) sum += shared[k * (2 * ROWS8 * 4 * 32) + e];
    return sum;
}

// Where it is in the block's tile.
struct LinearPlace {
    u32 out;
    u32 row;
};

template <int ROWS8>
DEVICE LinearPlace linear_place(u32 e) {
    u32 at = e % 32, i = e / 32 % 4, r = e / 128 % ROWS8, s = e / 128 / ROWS8;
    return LinearPlace{s * 16 + i / 2 * 8 + at / 4, 8 * r + 2 * (at % 4) + i % 2};
}

template <int ROWS8>
DEVICE void linear_tile(const LinearArgs& a, float* shared) {
    u32 first_out = blockIdx.x * LINEAR_ROWS, first_row = blockIdx.y * 16;
    linear_sums<ROWS8>(a, first_out, first_row, shared);
    for (u32 e = threadIdx.x; e < 2 * ROWS8 * 4 * 32; e += LINEAR_WARPS * 32) {
        LinearPlace at = linear_place<ROWS8>(e);
        u32 out = first_out + at.out, row = first_row + at.row;
        if (out < a.outs && row < a.rows) {
            a.out[(u64)row * a.outs + out] = bf16_of(linear_sum<ROWS8>(shared, e) + (a.bias ? a.bias[out] : 0.0f));
        }
    }
}
