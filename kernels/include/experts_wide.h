// The experts' product for many places: bound by the tensor cores. The matrix is wgmma's A, decoded in registers; the
// places are its columns.
//
// A block of three times four warps takes 192 rows of an expert's matrix (64 each) and a tile of at most 128 places, 64
// columns at a step. Activations and packed weights come through a ring of stages in shared memory, each thread copying its
// share WIDE_AHEAD steps ahead. While the products of one step run, the next step's weights are decoded: into other
// registers, since the tensor cores still read the ones before. A step's buffer is filled again two steps later, when all
// warps have waited for its products. One block on a multiprocessor, which goes from tile to tile.
#pragma once
#include "experts.h"
#include "mma.h"
#include "wgmma.h"

const u32 WIDE_ROWS = 192;
const u32 WIDE_THREADS = 384;
const u32 WIDE_PLACES = 128;
const u32 WIDE_STAGES = 8;
const u32 WIDE_AHEAD = WIDE_STAGES - 2;
// A stage: the places' 64 columns, and of each row the words of its first group, then of its second.
const u32 WIDE_X = WIDE_PLACES * WGMMA_ROW;
const u32 WIDE_STAGE = WIDE_X + 2 * WIDE_ROWS * 16;

// Shared memory that a block needs; the host computes the same. The stages, then all scales of its rows.
DEVICE u32 wide_bytes(u32 cols) { return WIDE_STAGES * WIDE_STAGE + WIDE_ROWS * (cols / 32); }

// One step's weights as the tensor cores take them: four times 16 columns.
typedef u32 WideWeights[4][4];

// What a thread needs for its share of the work.
struct WideThread {
    // Byte offsets within a stage of what it copies and of what it decodes.
    u32 x_to, w_to, word_low, word_high;
    // Of its rows' scales.
    u32 scale_low, scale_high;
};

// Columns 64 k .. 64 k + 63 of rows g and g + 8.
DEVICE void wide_decode(const unsigned char* stage, const unsigned char* scales, const WideThread& me, u32 k, WideWeights& w) {
    u32 by_low = *(const u16*)(scales + me.scale_low + 2 * k), by_high = *(const u16*)(scales + me.scale_high + 2 * k);
#pragma unroll
    for (int group = 0; group < 2; ++group) {
        u32 low = *(const u32*)(stage + me.word_low + group * (WIDE_ROWS * 16));
        u32 high = *(const u32*)(stage + me.word_high + group * (WIDE_ROWS * 16));
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

// One step's products with `N` places.
template <int N>
DEVICE void wide_multiply(float* sums, const WideWeights& w, u64 x) {
    wgmma_fence();
#pragma unroll
    for (int i = 0; i < 4; ++i) Wgmma<N>::multiply(sums, w[i], x + 2 * i);
    wgmma_commit();
}

// The sums of rows `first_row` .. and the tile's places, as wgmma leaves them; a group of four warps beyond the last row gets
// nothing. `row_of(i)`: where in its 16 rows of A the i-th of 16 consecutive rows of the matrix goes. `x_of(place)`: a
// place's activations.
template <typename Row, typename X>
DEVICE void wide_product(const ExpertsArgs& a, const Tile& tile, u32 first_row, Row row_of, X x_of, unsigned char* shared,
                         float (&sums)[WIDE_PLACES / 2]) {
    const u32 ROUND = WIDE_THREADS / 8;
    const int ROUNDS = (WIDE_PLACES + ROUND - 1) / ROUND;
    u32 thread = threadIdx.x, lane = thread % 32, g = lane / 4, t = lane % 4, groups = a.cols / 32, steps = a.cols / WGMMA_COLS;
    u32 rows = least(WIDE_ROWS, a.outs - first_row), strip = thread / 32 * 16;
    bool has_rows = thread / 128 * 64 < rows;
    const unsigned char* scales = shared + WIDE_STAGES * WIDE_STAGE;
    u32 at = shared_address(shared);

    // This thread's share of the copies: a chunk of eight columns of every 48th place, and a group of one row. Places
    // beyond the last are zero where a product reads them.
    const bf16* x[ROUNDS];
    u32 x_bytes[ROUNDS];
#pragma unroll
    for (int i = 0; i < ROUNDS; ++i) {
        u32 place = thread / 8 + i * ROUND;
        x[i] = x_of(least(place, tile.places - 1)) + thread % 8 * 8;
        x_bytes[i] = place < tile.places ? 16 : 0;
    }
    u64 first_group = ((u64)tile.expert * a.outs + first_row) * groups;
    u32 w_row = thread / 2, w_bytes = w_row < rows ? 16 : 0;
    const u8* w = a.blocks + (first_group + (u64)least(w_row, rows - 1) * groups + thread % 2) * 16;
    WideThread me;
    me.x_to = at + wgmma_chunk(thread / 8, thread % 8);
    me.w_to = at + WIDE_X + (thread % 2 * WIDE_ROWS + w_row / 16 * 16 + row_of(w_row % 16)) * 16;
    me.word_low = WIDE_X + (strip + g) * 16 + 4 * t;
    me.word_high = me.word_low + 8 * 16;

    auto copy = [&](u32 k) {
        if (k < steps) {
            u32 stage = k % WIDE_STAGES * WIDE_STAGE;
#pragma unroll
            for (int i = 0; i < ROUNDS; ++i) {
                // The last round goes beyond the places that there can be.
                if ((i + 1) * ROUND <= WIDE_PLACES || thread / 8 + i * ROUND < WIDE_PLACES) {
                    copy16(me.x_to + stage + i * (ROUND * WGMMA_ROW), x[i] + k * WGMMA_COLS, x_bytes[i]);
                }
            }
            copy16_ahead(me.w_to + stage, w + k * 32, w_bytes);
        }
        copy_commit();
    };
    // All rows' scales lie together.
    for (u32 i = thread; i < rows * groups / 16; i += WIDE_THREADS) {
        copy16(at + WIDE_STAGES * WIDE_STAGE + i * 16, a.scales + first_group + i * 16, 16);
    }
    for (u32 k = 0; k < WIDE_AHEAD; ++k) copy(k);
    // Rows of the matrix that this lane decodes.
    u32 low_row = 0, high_row = 0;
#pragma unroll
    for (u32 i = 0; i < 16; ++i) {
        low_row = row_of(i) == g ? strip + i : low_row;
        high_row = row_of(i) == g + 8 ? strip + i : high_row;
    }
    me.scale_low = low_row * groups;
    me.scale_high = high_row * groups;

#pragma unroll
    for (u32 i = 0; i < WIDE_PLACES / 2; ++i) sums[i] = 0.0f;
    u32 places32 = parts(tile.places, 32);
    WideWeights even, odd;
    auto step = [&](u32 k, WideWeights& weights) {
        copy_wait<WIDE_AHEAD - 1>();
        wgmma_operands_written();
        __syncthreads();
        copy(k + WIDE_AHEAD);
        if (!has_rows) return;
        u32 stage = k % WIDE_STAGES * WIDE_STAGE;
        wide_decode(shared + stage, scales, me, k, weights);
        u64 b = wgmma_descriptor(at + stage);
        // One loop for all widths: with a loop for each, the compiler runs out of registers.
        if (places32 == 1) {
            wide_multiply<32>(sums, weights, b);
        } else if (places32 == 2) {
            wide_multiply<64>(sums, weights, b);
        } else if (places32 == 3) {
            wide_multiply<96>(sums, weights, b);
        } else {
            wide_multiply<128>(sums, weights, b);
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
