// The experts' product for many rows: bound by the tensor cores. The matrix is wgmma's A, decoded in registers; the
// rows are its columns.
//
// A block of three times four warps takes 192 rows of an expert's matrix (64 each) and a tile of at most 128 sorted rows, 64
// columns at a step. Activations and packed weights come through a ring of stages in shared memory, each thread copying its
// share MOE_WGMMA_AHEAD steps ahead. While the products of one step run, the next step's weights are decoded: into other
// registers, since the tensor cores still read the ones before. A step's buffer is filled again two steps later, when all
// warps have waited for its products. One block on a multiprocessor, which goes from tile to tile.
#pragma once
#include "moe.h"
#include "mma.h"
#include "wgmma.h"

const u32 MOE_WGMMA_OUTS = 192;
const u32 MOE_WGMMA_THREADS = 384;
const u32 MOE_WGMMA_ROWS = 128;
const u32 MOE_WGMMA_STAGES = 8;
const u32 MOE_WGMMA_AHEAD = MOE_WGMMA_STAGES - 2;
// A stage: the rows' 64 columns, and of each row the words of its first group, then of its second.
const u32 MOE_WGMMA_X = MOE_WGMMA_ROWS * WGMMA_ROW;
const u32 MOE_WGMMA_STAGE = MOE_WGMMA_X + 2 * MOE_WGMMA_OUTS * 16;

// Shared memory is the stages, then a byte of scale for each of the block's rows and 32 columns; the host gives that much.

// One step's weights as the tensor cores take them: four times 16 columns.
typedef u32 MoeWgmmaWeights[4][4];

// Places that all threads copy at once, and how often they do.
const u32 MOE_WGMMA_ROUND = MOE_WGMMA_THREADS / 8;
const int MOE_WGMMA_ROUNDS = (MOE_WGMMA_ROWS + MOE_WGMMA_ROUND - 1) / MOE_WGMMA_ROUND;

// Where in the first stage a thread copies to, and which bytes of a stage it decodes.
struct MoeWgmmaThread {
    u32 x_to, w_to, word_low, word_high;
};

// Columns 64 k .. 64 k + 63 of rows g and g + 8.
DEVICE void moe_wgmma_decode(const unsigned char* stage, const unsigned char* scales, const MoeWgmmaThread& me, u32 scale_low,
                             u32 scale_high, u32 k, MoeWgmmaWeights& w) {
    u32 by_low = *(const u16*)(scales + scale_low + 2 * k), by_high = *(const u16*)(scales + scale_high + 2 * k);
#pragma unroll
    for (int group = 0; group < 2; ++group) {
        u32 low = *(const u32*)(stage + me.word_low + group * (MOE_WGMMA_OUTS * 16));
        u32 high = *(const u32*)(stage + me.word_high + group * (MOE_WGMMA_OUTS * 16));
        u32 times_low = mxfp4_scale(group ? by_low >> 8 : by_low & 0xffu);
        u32 times_high = mxfp4_scale(group ? by_high >> 8 : by_high & 0xffu);
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            w[2 * group + half][0] = multiply2(mxfp4_pair(low, 2 * half), times_low);
            w[2 * group + half][1] = multiply2(mxfp4_pair(high, 2 * half), times_high);
            w[2 * group + half][2] = multiply2(mxfp4_pair(low, 2 * half + 1), times_low);
            w[2 * group + half][3] = multiply2(mxfp4_pair(high, 2 * half + 1), times_high);
        }
    }
}

// One step's products with `N` rows.
template <int N>
DEVICE void moe_wgmma_multiply(float* sums, const MoeWgmmaWeights& w, u64 x) {
    wgmma_fence();
#pragma unroll
    for (int i = 0; i < 4; ++i) Wgmma<N>::multiply(sums, w[i], x + 2 * i);
    wgmma_commit();
}

// A piece of work: a tile of sorted rows and 192 rows of its expert's matrix.
struct MoeWgmmaWork {
    Tile tile;
    u32 first_row;
};

// What a thread copies of a piece of work, and what it decodes.
struct MoeWgmmaShare {
    const bf16* x[MOE_WGMMA_ROUNDS];
    bool x_wanted[MOE_WGMMA_ROUNDS];
    const u8* w;
    bool w_wanted;
    u32 scale_low, scale_high;
    u32 rows;
};

// This thread's share of one step's copies: a chunk of eight columns of every 48th row, and a group of one row.
DEVICE void moe_wgmma_copy(const MoeWgmmaShare& s, const MoeWgmmaThread& me, u32 k, u32 steps) {
    if (k < steps) {
        u32 stage = k % MOE_WGMMA_STAGES * MOE_WGMMA_STAGE;
#pragma unroll
        for (int i = 0; i < MOE_WGMMA_ROUNDS; ++i) {
            if (s.x_wanted[i]) copy16_whole(me.x_to + stage + i * (MOE_WGMMA_ROUND * WGMMA_ROW), s.x[i] + k * WGMMA_COLS);
        }
        if (s.w_wanted) copy16_whole_ahead(me.w_to + stage, s.w + k * 32);
    }
    copy_commit();
}

// Starts the copies of a piece of work: all its scales, and the first steps. Nobody may still use the stages.
// `row_at(r)`: which of 16 consecutive rows of the matrix row r of the 16 of A is. `x_of(tile, tile_row)`: a row's activations.
template <typename RowAt, typename X>
DEVICE MoeWgmmaShare moe_wgmma_begin(const MoeArgs& a, const MoeWgmmaWork& work, const MoeWgmmaThread& me, RowAt row_at, X x_of,
                                     u32 at) {
    u32 thread = threadIdx.x, g = thread % 32 / 4, groups = a.cols / 32, steps = a.cols / WGMMA_COLS, strip = thread / 32 * 16;
    MoeWgmmaShare s;
    s.rows = min_u32(MOE_WGMMA_OUTS, a.outs - work.first_row);
    // Where a product reads rows beyond the last, they are the last again: nobody stores their sums.
#pragma unroll
    for (int i = 0; i < MOE_WGMMA_ROUNDS; ++i) {
        u32 tile_row = thread / 8 + i * MOE_WGMMA_ROUND;
        s.x[i] = x_of(work.tile, min_u32(tile_row, work.tile.rows - 1)) + thread % 8 * 8;
        s.x_wanted[i] = tile_row < ceil_div(work.tile.rows, 32) * 32;
    }
    u64 first_group = ((u64)work.tile.expert * a.outs + work.first_row) * groups;
    u32 w_row = thread / 2;
    s.w_wanted = w_row < s.rows;
    s.w = a.blocks + (first_group + (u64)min_u32(w_row, s.rows - 1) * groups + thread % 2) * 16;
    // All rows' scales lie together.
    for (u32 i = thread; i < s.rows * groups / 16; i += MOE_WGMMA_THREADS) {
        copy16(at + MOE_WGMMA_STAGES * MOE_WGMMA_STAGE + i * 16, a.scales + first_group + i * 16, 16);
    }
    for (u32 k = 0; k < MOE_WGMMA_AHEAD; ++k) moe_wgmma_copy(s, me, k, steps);
    // Rows of the matrix that this lane decodes.
    s.scale_low = (strip + row_at(g)) * groups;
    s.scale_high = (strip + row_at(g + 8)) * groups;
    return s;
}

// The sums of a piece of work that was begun, as wgmma leaves them; a group of four warps beyond the last row gets nothing.
DEVICE void moe_wgmma_product(const MoeArgs& a, const MoeWgmmaWork& work, const MoeWgmmaShare& share, const MoeWgmmaThread& me,
                              unsigned char* shared, float (&sums)[MOE_WGMMA_ROWS / 2]) {
    u32 steps = a.cols / WGMMA_COLS, at = shared_address(shared), rows32 = ceil_div(work.tile.rows, 32);
    bool has_rows = threadIdx.x / 128 * 64 < share.rows;
    const unsigned char* scales = shared + MOE_WGMMA_STAGES * MOE_WGMMA_STAGE;
#pragma unroll
    for (u32 i = 0; i < MOE_WGMMA_ROWS / 2; ++i) sums[i] = 0.0f;
    MoeWgmmaWeights even, odd;
    auto step = [&](u32 k, MoeWgmmaWeights& weights) {
        copy_wait<MOE_WGMMA_AHEAD - 1>();
        wgmma_operands_written();
        __syncthreads();
        moe_wgmma_copy(share, me, k + MOE_WGMMA_AHEAD, steps);
        if (!has_rows) return;
        u32 stage = k % MOE_WGMMA_STAGES * MOE_WGMMA_STAGE;
        moe_wgmma_decode(shared + stage, scales, me, share.scale_low, share.scale_high, k, weights);
        u64 b = wgmma_descriptor(at + stage);
        // One loop for all widths: with a loop for each, the compiler runs out of registers.
        if (rows32 == 1) {
            moe_wgmma_multiply<32>(sums, weights, b);
        } else if (rows32 == 2) {
            moe_wgmma_multiply<64>(sums, weights, b);
        } else if (rows32 == 3) {
            moe_wgmma_multiply<96>(sums, weights, b);
        } else {
            moe_wgmma_multiply<128>(sums, weights, b);
        }
        wgmma_wait<1>();
    };
    for (u32 k = 0; k < steps; k += 2) {
        step(k, even);
        if (k + 1 < steps) step(k + 1, odd);
    }
    wgmma_wait<0>();
    wgmma_pin(sums);
    // The stages and scales are filled anew.
    __syncthreads();
}

// All pieces of work of a launch, block by block. `finish(work, sums)` stores one's results, while the copies of the next are
// under way. `row_of(i)`: where in its 16 rows of A the i-th of 16 consecutive rows of the matrix goes; `row_at` is its inverse.
template <typename Row, typename RowAt, typename X, typename Finish>
DEVICE void moe_wgmma_all(const MoeArgs& a, Row row_of, RowAt row_at, X x_of, Finish finish, unsigned char* shared) {
    u32 thread = threadIdx.x, lane = thread % 32, at = shared_address(shared), w_row = thread / 2;
    MoeWgmmaThread me;
    me.x_to = at + wgmma_chunk(thread / 8, thread % 8);
    me.w_to = at + MOE_WGMMA_X + (thread % 2 * MOE_WGMMA_OUTS + w_row / 16 * 16 + row_of(w_row % 16)) * 16;
    me.word_low = MOE_WGMMA_X + (thread / 32 * 16 + lane / 4) * 16 + 4 * (lane % 4);
    me.word_high = me.word_low + 8 * 16;
    u32 blocks = ceil_div(a.outs, MOE_WGMMA_OUTS), pieces = *a.routing.n_tiles * blocks, next = blockIdx.x;
    if (next >= pieces) return;
    MoeWgmmaWork work = {a.routing.tiles[next / blocks], next % blocks * MOE_WGMMA_OUTS};
    MoeWgmmaShare share = moe_wgmma_begin(a, work, me, row_at, x_of, at);
    for (;;) {
        float sums[MOE_WGMMA_ROWS / 2];
        moe_wgmma_product(a, work, share, me, shared, sums);
        MoeWgmmaWork done = work;
        next += gridDim.x;
        if (next < pieces) {
            work.tile = a.routing.tiles[next / blocks];
            work.first_row = next % blocks * MOE_WGMMA_OUTS;
            share = moe_wgmma_begin(a, work, me, row_at, x_of, at);
        }
        finish(done, sums);
        if (next >= pieces) return;
    }
}
