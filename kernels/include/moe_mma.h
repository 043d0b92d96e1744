// The experts' product for few rows: bandwidth-bound, each weight read once, straight into the tensor cores' registers.
//
// A block takes 64 rows of an expert's matrix and a tile of at most 16 sorted rows. Its 8 warps cut the columns among them; a
// lane loads whole MXFP4 groups (16 bytes, one scale): with g = lane / 4 and t = lane % 4 it takes group 4 q + t of rows g
// and g + 8 of four 16-row strips, and, for B, the same 32 columns of row g. Scales of at most 128; the host sends matrices
// with larger ones to the reference kernel.
#pragma once
#include "moe.h"
#include "mma.h"

const u32 MOE_MMA_OUTS = 64;
const u32 MOE_MMA_WARPS = 8;

template <int ROWS8>
struct MoeMmaSums {
    // [strip][eight rows][as mma leaves them]
    float c[4][ROWS8][4];
};

// Words of a lane's share of one strip's groups.
struct MoeMmaGroup {
    Vec16 low, high;
    u32 scales;
};

// `row_of(strip, half)`: the matrix row that is row g (half 0) or g + 8 of a strip. `x_of(i)`: the activations of tile row
// 8 i + g, null beyond the last row.
template <int ROWS8, typename Row, typename X>
DEVICE void moe_mma_product(const MoeArgs& a, u32 expert, Row row_of, X x_of, MoeMmaSums<ROWS8>& sums) {
    u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32, t = lane % 4;
    u32 groups = a.cols / 32, quads = ceil_div(groups, 4);
    // Consecutive quads to one warp, as even as can be.
    u32 begin = quads * warp / MOE_MMA_WARPS, end = quads * (warp + 1) / MOE_MMA_WARPS;
#pragma unroll
    for (int s = 0; s < 4; ++s) {
#pragma unroll
        for (int p = 0; p < ROWS8; ++p) {
#pragma unroll
            for (int i = 0; i < 4; ++i) sums.c[s][p][i] = 0.0f;
        }
    }
    const bf16* x[ROWS8];
#pragma unroll
    for (int p = 0; p < ROWS8; ++p) x[p] = x_of(p);
    // Offsets within an expert fit into a word.
    const u8* blocks = a.blocks + (u64)expert * a.outs * groups * 16;
    const u8* scales = a.scales + (u64)expert * a.outs * groups;
    const Vec16 nothing = {{0, 0, 0, 0}};
    for (u32 q = begin; q < end; ++q) {
        u32 group = 4 * q + t;
        bool inside = group < groups;
        MoeMmaGroup w[4];
#pragma unroll
        for (int s = 0; s < 4; ++s) {
            u32 low = row_of(s, 0) * groups + group, high = row_of(s, 1) * groups + group;
            w[s].low = inside ? load16_once(blocks + low * 16) : nothing;
            w[s].high = inside ? load16_once(blocks + high * 16) : nothing;
            // Both in one word: registers are what this kernel is short of.
            w[s].scales = inside ? scales[low] | (u32)scales[high] << 16 : 0u;
        }
        u32 by[4][2];
#pragma unroll
        for (int s = 0; s < 4; ++s) {
            by[s][0] = mxfp4_scale(w[s].scales & 0xffu);
            by[s][1] = mxfp4_scale(w[s].scales >> 16);
        }
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            // Columns 8 i .. 8 i + 7 of the group: a pair from each word.
            Vec16 b[ROWS8];
#pragma unroll
            for (int p = 0; p < ROWS8; ++p) b[p] = inside && x[p] ? load16(x[p] + group * 32 + 8 * i) : nothing;
#pragma unroll
            for (int s = 0; s < 4; ++s) {
                u32 low[4], high[4];
#pragma unroll
                for (int j = 0; j < 4; ++j) {
                    low[j] = multiply2(mxfp4_pair(w[s].low.w[j], i), by[s][0]);
                    high[j] = multiply2(mxfp4_pair(w[s].high.w[j], i), by[s][1]);
                }
#pragma unroll
                for (int p = 0; p < ROWS8; ++p) {
                    mma_bf16(sums.c[s][p], low[0], high[0], low[1], high[1], b[p].w[0], b[p].w[1]);
                    mma_bf16(sums.c[s][p], low[2], high[2], low[3], high[3], b[p].w[2], b[p].w[3]);
                }
            }
        }
    }
}

// The warps' sums, added in the order of columns. [strip][eight rows][as mma leaves them][lane]
template <int ROWS8>
DEVICE void moe_mma_share(const MoeMmaSums<ROWS8>& sums, float* shared) {
    u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const u32 values = 4 * ROWS8 * 4;
#pragma unroll
    for (int i = 0; i < 4 * ROWS8 * 4; ++i) {
        shared[(warp * values + i) * 32 + lane] = sums.c[i / (ROWS8 * 4)][i / 4 % ROWS8][i % 4];
    }
    __syncthreads();
}

template <int ROWS8>
DEVICE float moe_mma_total(const float* shared, u32 strip, u32 p, u32 i, u32 lane) {
    const u32 values = 4 * ROWS8 * 4;
    float sum = 0.0f;
    for (u32 warp = 0; warp < MOE_MMA_WARPS; ++warp) {
        sum += shared[(warp * values + (strip * ROWS8 + p) * 4 + i) * 32 + lane];
    }
    return sum;
}
