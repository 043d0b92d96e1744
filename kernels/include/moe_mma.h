// The experts' product for few rows: bandwidth-bound, each weight read once, straight into the tensor cores' registers.
//
// A block takes 64 rows of an expert's matrix and a tile of at most 16 sorted rows. Its 8 warps cut the columns among them, 64
// at a step: in the order of mxfp4.h a warp's loads are 512 bytes in a row, and the scales of a lane's eight rows 16. With
// g = lane / 4 a lane has rows 2 g and 2 g + 1 of four strips of 16, as rows g and g + 8 of A. Scales of at most 128; the host
// sends matrices with larger ones to the reference kernel.
#pragma once
#include "moe.h"
#include "mma.h"

const u32 MOE_MMA_OUTS = MXFP4_SIDE;
const u32 MOE_MMA_WARPS = 8;

template <int ROWS8>
struct MoeMmaSums {
    // [strip][eight rows][as mma leaves them]
    float c[4][ROWS8][4];
};

// A lane's share of 64 columns.
struct MoeMmaStep {
    Vec16 words[4];
    // Of each strip: rows 2 g and 2 g + 1 in the first 32 columns, then in the others.
    Vec16 scales;
};

// Two bytes of scale, from `first` on, as `mxfp4_scale` has them, one in each half.
DEVICE u32 moe_mma_scales(u32 scales, int first) { return two_bytes(scales, first) * 0x80u + 0x3f003f00u; }

// The first `GROUPS` times 32 columns of a step, from column `first` of x on.
template <int ROWS8, int GROUPS>
DEVICE void moe_mma_step(const MoeMmaStep& w, const bf16* const (&x)[ROWS8], u32 first, MoeMmaSums<ROWS8>& sums) {
#pragma unroll
    for (int group = 0; group < GROUPS; ++group) {
        u32 b[ROWS8][4];
#pragma unroll
        for (int p = 0; p < ROWS8; ++p) {
#pragma unroll
            for (int j = 0; j < 4; ++j) b[p][j] = load4(x[p] + first + group * 32 + 8 * j);
        }
#pragma unroll
        for (int s = 0; s < 4; ++s) {
            u32 by = moe_mma_scales(w.scales.w[s], 2 * group), low = w.words[s].w[2 * group], high = w.words[s].w[2 * group + 1];
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                u32 a0 = multiply2_by<false>(mxfp4_pair(low, 2 * half), by), a1 = multiply2_by<true>(mxfp4_pair(high, 2 * half), by);
                u32 a2 = multiply2_by<false>(mxfp4_pair(low, 2 * half + 1), by);
                u32 a3 = multiply2_by<true>(mxfp4_pair(high, 2 * half + 1), by);
#pragma unroll
                for (int p = 0; p < ROWS8; ++p) mma_bf16(sums.c[s][p], a0, a1, a2, a3, b[p][2 * half], b[p][2 * half + 1]);
            }
        }
    }
}

// `x_of(i)`: the activations of tile row 8 i + g, or of any row beyond the last, whose sums nobody takes.
template <int ROWS8, typename X>
DEVICE void moe_mma_product(const MoeArgs& a, u32 expert, u32 row_block, X x_of, MoeMmaSums<ROWS8>& sums) {
    u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32, t = lane % 4;
    u32 steps = a.cols / MXFP4_SIDE;
    // Consecutive steps to one warp, as even as can be.
    u32 begin = steps * warp / MOE_MMA_WARPS, end = steps * (warp + 1) / MOE_MMA_WARPS;
    u64 square = mxfp4_square(expert, a.outs, a.cols, row_block, begin);
    const u8* words = a.blocks + square * MXFP4_WORDS + lane * 16;
    const u8* scales = a.scales + square * MXFP4_SCALES + lane / 4 * 16;
    // Two steps' loads are under way before the first is used.
    MoeMmaStep w[2];
    auto load = [&](int i) {
#pragma unroll
        for (int s = 0; s < 4; ++s) w[i].words[s] = load16_once(words + i * MXFP4_WORDS + s * 512);
        w[i].scales = load16_once(scales + i * MXFP4_SCALES);
    };
    if (begin < end) load(0);
    if (begin + 1 < end) load(1);
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
    for (int p = 0; p < ROWS8; ++p) x[p] = x_of(p) + begin * MXFP4_SIDE + 2 * t;
    for (u32 k = begin; k < end;) {
        moe_mma_step<ROWS8, 2>(w[0], x, 0, sums);
        if (k + 1 < end) moe_mma_step<ROWS8, 2>(w[1], x, MXFP4_SIDE, sums);
        k += 2;
        words += 2 * MXFP4_WORDS;
        scales += 2 * MXFP4_SCALES;
#pragma unroll
        for (int p = 0; p < ROWS8; ++p) x[p] += 2 * MXFP4_SIDE;
        if (k < end) load(0);
        if (k + 1 < end) load(1);
    }
    // Columns of half a step.
    if (a.cols % MXFP4_SIDE && warp == MOE_MMA_WARPS - 1) {
        u32 odd = (end - begin) % 2;
        words -= odd * MXFP4_WORDS;
        scales -= odd * MXFP4_SCALES;
#pragma unroll
        for (int p = 0; p < ROWS8; ++p) x[p] -= odd * MXFP4_SIDE;
        load(0);
        moe_mma_step<ROWS8, 1>(w[0], x, 0, sums);
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

// All pieces of work of a launch, a tile's rows of weights side by side: a block takes every gridDim.x-th, so that none is started
// for a tile that is not there. `one(tile, row_block)` does a piece with the block's shared memory. A grid has no more blocks than
// there may be pieces, so that there is room for the first's tile.
template <typename One>
DEVICE void moe_mma_all(const MoeArgs& a, One one) {
    u32 row_blocks = a.outs / MOE_MMA_OUTS;
    Tile tile = load_tile(a.routing, blockIdx.x / row_blocks);
    u32 pieces = *a.routing.n_tiles * row_blocks;
    // A tile that is there has rows; asked so, both loads are over before the branch.
    if ((blockIdx.x >= pieces) | (tile.rows == 0)) return;
    for (u32 piece = blockIdx.x; piece < pieces;) {
        one(tile, piece % row_blocks);
        piece += gridDim.x;
        if (piece < pieces) tile = load_tile(a.routing, piece / row_blocks);
        __syncthreads();
    }
}
