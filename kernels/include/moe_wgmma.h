// The experts' product for many rows: bound by the tensor cores. The matrix is wgmma's A, decoded in registers; the
// rows are its columns.
//
// A block of three times four warps takes 192 rows of an expert's matrix (64 each) and a tile of at most 128 sorted rows, 64
// columns at a step. Four more warps bring activations, packed weights and scales into a ring of stages in shared memory; a
// barrier for each stage says that it is full, another that the other twelve warps have used it up. While the products of one step
// run, the next step's weights are decoded: into other registers, since the tensor cores still read the ones before. One block on
// a multiprocessor, which goes from tile to tile; the copying warps are ahead of the others, whatever they do.
#pragma once
#include "barrier.h"
#include "moe.h"
#include "mma.h"

const u32 MOE_WGMMA_OUTS = 192;
const u32 MOE_WGMMA_GROUPS = MOE_WGMMA_OUTS / MXFP4_SIDE;
const u32 MOE_WGMMA_WARPS = 4 * MOE_WGMMA_GROUPS;
// That copy; with them a block has all registers of a multiprocessor, 128 a thread.
const u32 MOE_WGMMA_COPIERS = 128;
const u32 MOE_WGMMA_THREADS = 32 * MOE_WGMMA_WARPS + MOE_WGMMA_COPIERS;
const u32 MOE_WGMMA_ROWS = 128;
const u32 MOE_WGMMA_STAGES = 8;
// Stages whose copies are under way. A stage is free again when the products of the step after it have begun, so that two are in
// use: with more under way the copying warps would wait for what only their own next word makes possible.
const u32 MOE_WGMMA_AHEAD = MOE_WGMMA_STAGES - 2;
// A stage: the rows' 64 columns, then words and scales of each 64 rows of the matrix, then its two barriers; a multiple of 1,024
// bytes. Shared memory is the stages.
const u32 MOE_WGMMA_X = MOE_WGMMA_ROWS * WGMMA_ROW;
const u32 MOE_WGMMA_SCALES = MOE_WGMMA_X + MOE_WGMMA_GROUPS * MXFP4_WORDS;
const u32 MOE_WGMMA_FULL = MOE_WGMMA_SCALES + MOE_WGMMA_GROUPS * MXFP4_SCALES;
const u32 MOE_WGMMA_FREE = MOE_WGMMA_FULL + BARRIER;
const u32 MOE_WGMMA_STAGE = (MOE_WGMMA_FREE + 3 * BARRIER + WGMMA_TILE - 1) / WGMMA_TILE * WGMMA_TILE;
// Behind the first stage's barriers there is one that nobody waits for.
const u32 MOE_WGMMA_NOBODY = 2 * BARRIER;

// One step's weights as the tensor cores take them: four times 16 columns.
typedef u32 MoeWgmmaWeights[4][4];

// What a thread of the other warps needs over all its steps.
struct MoeWgmmaThread {
    // Of a stage's bytes: its words, and its byte of scales.
    u32 words, scales;
    bool says_so;
};
DEVICE MoeWgmmaThread moe_wgmma_thread() {
    u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    MoeWgmmaThread me;
    me.words = kept(MOE_WGMMA_X + warp * 512 + lane * 16);
    me.scales = kept(MOE_WGMMA_SCALES + warp / 4 * MXFP4_SCALES + lane / 4 * 16 + warp % 4 * 4);
    me.says_so = lane == 0;
    return me;
}

// A step's columns of rows 2 g and 2 g + 1 of a strip.
DEVICE void moe_wgmma_decode(u32 stage, const MoeWgmmaThread& me, MoeWgmmaWeights& w) {
    Vec16 word = shared16(stage + me.words);
    u32 scale = shared4(stage + me.scales);
#pragma unroll
    for (int group = 0; group < 2; ++group) {
        u32 by = two_bytes(scale, 2 * group) * 0x80u + 0x3f003f00u;
#pragma unroll
        for (int half = 0; half < 2; ++half) {
#pragma unroll
            for (int i = 0; i < 2; ++i) {
                w[2 * group + half][2 * i] = multiply2_by<false>(mxfp4_pair(word.w[2 * group], 2 * half + i), by);
                w[2 * group + half][2 * i + 1] = multiply2_by<true>(mxfp4_pair(word.w[2 * group + 1], 2 * half + i), by);
            }
        }
    }
}

// One step's products with `N` rows.
template <int N>
DEVICE void moe_wgmma_multiply(float* sums, const MoeWgmmaWeights& w, u32 x) {
    wgmma_fence();
#pragma unroll
    for (int i = 0; i < 4; ++i) Wgmma<N>::multiply(sums, w[i], wgmma_descriptor_of(x + 2 * i));
    wgmma_commit();
}

// A piece of work: a tile of sorted rows and 192 rows of its expert's matrix.
struct MoeWgmmaWork {
    Tile tile;
    u32 first_row;
};
DEVICE MoeWgmmaWork moe_wgmma_work(const MoeArgs& a, u32 piece) {
    u32 blocks = ceil_div(a.outs, MOE_WGMMA_OUTS);
    return MoeWgmmaWork{load_tile(a.routing, piece / blocks), piece % blocks * MOE_WGMMA_OUTS};
}

// Where one is in the ring: the shared address of a stage, and the parity of the phase that its barriers are in.
struct MoeWgmmaTurn {
    u32 stage, parity;
    DEVICE void next(u32 first) {
        stage += MOE_WGMMA_STAGE;
        if (stage == first + MOE_WGMMA_STAGES * MOE_WGMMA_STAGE) {
            stage = first;
            parity ^= 1;
        }
    }
};

// The copying warps. `x_of(tile, tile_row)`: which row of `x` a row's activations are.
template <typename X>
DEVICE void moe_wgmma_bring(const MoeArgs& a, const bf16* x, X x_of, u32 pieces, u32 at) {
    const u32 ROUND = MOE_WGMMA_COPIERS / 8;
    u32 thread = threadIdx.x % MOE_WGMMA_COPIERS, steps = a.cols / WGMMA_COLS, row_blocks = a.outs / MXFP4_SIDE;
    // Of x a thread copies eight columns of every 16th row.
    u32 to = wgmma_chunk(thread / 8, thread % 8);
    MoeWgmmaTurn turn = {at, 0}, whole = {at, 0};
    u32 under_way = 0;
    // The copies of all but the latest `AHEAD` steps are there.
    auto full = [&]() {
        wgmma_operands_written();
        barrier_arrive(whole.stage + MOE_WGMMA_FULL);
        whole.next(at);
    };
    for (u32 piece = blockIdx.x; piece < pieces; piece += gridDim.x) {
        MoeWgmmaWork work = moe_wgmma_work(a, piece);
        u32 rows32 = ceil_div(work.tile.rows, 32), first = work.first_row / MXFP4_SIDE;
        // Where a product reads rows beyond the last, they are the last again: nobody stores their sums.
        const bf16* from[MOE_WGMMA_ROWS / ROUND];
#pragma unroll
        for (u32 i = 0; i < MOE_WGMMA_ROWS / ROUND; ++i) {
            u32 row = x_of(work.tile, min_u32(i * ROUND + thread / 8, work.tile.rows - 1));
            from[i] = x + (u64)row * a.cols + thread % 8 * 8;
        }
        u64 square = mxfp4_square(work.tile.expert, a.outs, a.cols, first, 0);
        const u8 *words = a.blocks + square * MXFP4_WORDS + thread * 16, *scales = a.scales + square * MXFP4_SCALES;
        for (u32 k = 0; k < steps; ++k) {
            barrier_wait(turn.stage + MOE_WGMMA_FREE, turn.parity ^ 1);
#pragma unroll
            for (u32 i = 0; i < MOE_WGMMA_ROWS / ROUND; ++i) {
                if (i * ROUND / 32 < rows32) copy16_whole(turn.stage + to + i * (ROUND * WGMMA_ROW), from[i] + k * WGMMA_COLS);
            }
#pragma unroll
            for (u32 group = 0; group < MOE_WGMMA_GROUPS; ++group) {
                if (first + group < row_blocks) {
                    u32 square_to = turn.stage + MOE_WGMMA_X + group * MXFP4_WORDS + thread * 16;
                    copy16_whole_ahead(square_to, words + ((u64)group * steps + k) * MXFP4_WORDS);
                }
            }
            if (thread < MXFP4_SCALES / 16 * MOE_WGMMA_GROUPS && first + thread / 8 < row_blocks) {
                const u8* here = scales + ((u64)(thread / 8) * steps + k) * MXFP4_SCALES + thread % 8 * 16;
                copy16_whole(turn.stage + MOE_WGMMA_SCALES + thread * 16, here);
            }
            copy_commit();
            turn.next(at);
            if (under_way < MOE_WGMMA_AHEAD) {
                ++under_way;
            } else {
                copy_wait<MOE_WGMMA_AHEAD>();
                full();
            }
        }
    }
    copy_wait<0>();
    for (; under_way > 0; --under_way) full();
}

// The sums of a piece of work, as wgmma leaves them; four warps beyond the last row get nothing.
DEVICE void moe_wgmma_product(const MoeArgs& a, const MoeWgmmaWork& work, const MoeWgmmaThread& me, u32 at, MoeWgmmaTurn& turn,
                              u32& before, float (&sums)[MOE_WGMMA_ROWS / 2]) {
    u32 steps = a.cols / WGMMA_COLS, rows32 = kept(ceil_div(work.tile.rows, 32));
    bool has_rows = work.first_row + threadIdx.x / 128 * MXFP4_SIDE < a.outs;
#pragma unroll
    for (u32 i = 0; i < MOE_WGMMA_ROWS / 2; ++i) sums[i] = 0.0f;
    MoeWgmmaWeights even, odd;
    auto step = [&](MoeWgmmaWeights& weights) {
        barrier_wait(turn.stage + MOE_WGMMA_FULL, turn.parity);
        if (has_rows) {
            moe_wgmma_decode(turn.stage, me, weights);
            u32 b = wgmma_descriptor_low(turn.stage);
            // One loop for all widths: with a loop for each, the compiler runs out of registers.
            if (rows32 == 4) {
                moe_wgmma_multiply<128>(sums, weights, b);
            } else if (rows32 == 3) {
                moe_wgmma_multiply<96>(sums, weights, b);
            } else if (rows32 == 2) {
                moe_wgmma_multiply<64>(sums, weights, b);
            } else {
                moe_wgmma_multiply<32>(sums, weights, b);
            }
            wgmma_wait<1>();
        }
        // The products of the step before are over.
        if (me.says_so) barrier_arrive(before + MOE_WGMMA_FREE);
        before = turn.stage;
        turn.next(at);
    };
    for (u32 k = 0; k < steps; k += 2) {
        step(even);
        if (k + 1 < steps) step(odd);
    }
    wgmma_wait<0>();
    wgmma_pin(sums);
}

// All pieces of work of a launch, block by block. `finish(work, sums)` stores one's results, while the copies of the next are
// under way.
template <typename X, typename Finish>
DEVICE void moe_wgmma_all(const MoeArgs& a, const bf16* x, X x_of, Finish finish, unsigned char* shared) {
    u32 at = shared_address(shared), pieces = *a.routing.n_tiles * ceil_div(a.outs, MOE_WGMMA_OUTS);
    if (threadIdx.x < MOE_WGMMA_STAGES) {
        // Each copying thread says so; of the others one of each warp does.
        barrier_make(at + threadIdx.x * MOE_WGMMA_STAGE + MOE_WGMMA_FULL, MOE_WGMMA_COPIERS);
        barrier_make(at + threadIdx.x * MOE_WGMMA_STAGE + MOE_WGMMA_FREE, MOE_WGMMA_WARPS);
        if (threadIdx.x == 0) barrier_make(at + MOE_WGMMA_FREE + MOE_WGMMA_NOBODY, MOE_WGMMA_WARPS);
    }
    __syncthreads();
    if (threadIdx.x / 32 >= MOE_WGMMA_WARPS) {
        moe_wgmma_bring(a, x, x_of, pieces, at);
        return;
    }
    MoeWgmmaThread me = moe_wgmma_thread();
    // Before the first step there is no stage to give back.
    u32 first = kept(at), before = at + MOE_WGMMA_NOBODY;
    MoeWgmmaTurn turn = {first, 0};
    for (u32 piece = blockIdx.x; piece < pieces; piece += gridDim.x) {
        MoeWgmmaWork work = moe_wgmma_work(a, piece);
        float sums[MOE_WGMMA_ROWS / 2];
        moe_wgmma_product(a, work, me, first, turn, before, sums);
        finish(work, sums);
    }
}
