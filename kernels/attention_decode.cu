// Attention for gpt-oss's heads (64 elements, eight query heads a kv head): each key and value is read once for all eight.
// Bandwidth-bound; for sequences with few new rows. Products are the tensor cores'.
// Reference: crates/engine/src/cpu/attention.rs
// SASS: HMMA.16816.F32.BF16 HMMA.16816.F32 LDG.E.128 LDG.E.64 F2FP.F16.E4M3.UNPACK_B
//
// Positions are cut into splits of 512, counted from 0, and a split is summed in an order of its own; splits are then
// merged in order. So a row's bits are the same whether one block does all its splits, or several do some of them each
// and `attention_combine` merges. What the host decides per step lies in device memory (`split_at`), so that a recorded
// launch stays good for any lengths.
//
// A tile is 16 positions, a block of the pool. Its scores are queries (8 heads x 64) times keys (64 x 16 positions), and
// what it adds to the sums is values (64 x 16 positions) times weights (16 positions x 8 heads). Keys and values come from
// memory into the registers of the operands at once, 16 contiguous bytes a lane: which element counts as which k, and which row
// of the result is which, is free. With g = lane / 4 and t = lane % 4, a lane has keys g and g + 8 and values 2t, 2t + 1,
// 2t + 8 and 2t + 9 of a tile, scores of head g at those four positions, and sums of heads 2t and 2t + 1.
#include "include/mma.h"
#include "include/step.h"

struct DecodeArgs {
    KvPool pool;
    const bf16* qkv;
    const u32* positions;
    const u32* seq_of_row;
    const float* sinks;
    bf16* out;
    // [place][kv head] of PARTIAL floats; null: one block does all splits of its row.
    float* partials;
    // The place of each row's first split, or ALONE: one block does all of the row's.
    const u32* split_at;
    u32 cols;
    u32 heads;
    float scale;
    // Blocks that share the splits of a row and kv head.
    u32 workers;
    // Sequences with as many rows in this step are left to `attention_prefill`.
    u32 below_rows;
    u32 unused;
};
ASSERT_SIZE(DecodeArgs, 136);
ASSERT_OFFSET(DecodeArgs, partials, 96);
ASSERT_OFFSET(DecodeArgs, cols, 112);

const u32 UNSPLIT = 0xffffffffu;

const u32 SPLIT = 512;
const u32 GROUP = 8;
const u32 DIM = 64;
const u32 TILE = 16;
// Tiles that a warp takes at a time.
const u32 TURN = 2;
const u32 SPLIT_TILES = SPLIT / TILE;
const u32 DECODE_WARPS = 8;
// Threads that merge results, four elements of one head each.
const u32 MERGERS = 128;
// Most and total of each head, then its sums.
const u32 PARTIAL = GROUP * (2 + DIM);
// Below every score.
const float NEVER = -3.0e38f;
DEVICE float not_seen() { return __uint_as_float(0xff800000u); }
// Scores are powers of two, not of e, once they are scaled.
const float LOG2_E = 1.4426950408889634f;

// A thread's part of the running softmax: four elements of one head.
struct SoftmaxState {
    float max;
    float total;
    float sums[4];
};
DEVICE SoftmaxState empty_state() { return SoftmaxState{NEVER, 0.0f, {0.0f, 0.0f, 0.0f, 0.0f}}; }

struct DecodeShared {
    // Each thread its own, as operands. Registers are for what is on its way.
    Vec16 queries[2][DECODE_WARPS * 32];
    float max[DECODE_WARPS][GROUP];
    float total[DECODE_WARPS][GROUP];
    float sinks[GROUP];
    float sums[DECODE_WARPS][GROUP][DIM];
    // Of the splits so far, each thread its own.
    SoftmaxState state[MERGERS];
};

// Each rounding as it stands here, so that a row has the same bits in every kernel that merges.
DEVICE void merge(SoftmaxState& into, const SoftmaxState& next) {
    float max = fmaxf(into.max, next.max);
    float a = fast_exp2(into.max - max), b = fast_exp2(next.max - max);
    into.max = max;
    into.total = fmaf(into.total, a, next.total * b);
#pragma unroll
    for (int i = 0; i < 4; ++i) into.sums[i] = fmaf(into.sums[i], a, next.sums[i] * b);
}

DEVICE void finish(const DecodeArgs& a, u32 row, u32 head, float sink, const SoftmaxState& s) {
    sink *= LOG2_E;
    float max = fmaxf(s.max, sink), shrink = fast_exp2(s.max - max);
    float by = shrink / fmaf(s.total, shrink, fast_exp2(sink - max));
    Vec8 out = {{pair_of(s.sums[0] * by, s.sums[1] * by), pair_of(s.sums[2] * by, s.sums[3] * by)}};
    *(Vec8*)(a.out + ((u64)row * a.heads + head) * DIM + threadIdx.x % 16 * 4) = out;
}

// What a block does: the tiles that a row sees, a turn of all warps at a time, split by split. A turn is known by its first tile;
// warp w takes its tiles w and w + `DECODE_WARPS`, where they are in the split.
struct RowWork {
    u32 seen;
    u32 last;
    // Splits from one of this block's to the next.
    u32 step;
    // Where the row's table of blocks begins, less the block that it begins with.
    u32 table;
};

DEVICE u32 end_of_split(const RowWork& k, u32 turn) { return min_u32((turn / SPLIT_TILES + 1) * SPLIT_TILES, k.last / TILE + 1); }

DEVICE u32 tile_of(u32 turn, u32 u) { return turn + threadIdx.x / 32 + DECODE_WARPS * u; }

DEVICE u32 next_turn(const RowWork& k, u32 turn) {
    u32 next = turn + TURN * DECODE_WARPS;
    return next < end_of_split(k, turn) ? next : (turn / SPLIT_TILES + k.step) * SPLIT_TILES;
}

// Lane u gets the block of the pool that is the warp's tile u.
DEVICE u32 blocks_of(const KvPool& pool, const RowWork& k, u32 turn) {
    u32 lane = threadIdx.x % 32, tile = tile_of(turn, lane);
    return lane < TURN && tile < end_of_split(k, turn) ? pool.blocks[k.table + tile] : 0;
}

// A tile's keys and values as operands, and its queries and weights in the same format.
template <bool FP8>
struct KvTile;

template <>
struct KvTile<false> {
    static const u32 ROW = DIM * 2;
    // From elements 8t and 32 + 8t on, of keys g and g + 8; from 8g on, of the four values.
    Vec16 keys[2][2], values[4];

    DEVICE static u32 key_at(u32 g, u32 t) { return g * ROW + 16 * t; }
    DEVICE static u32 value_at(u32 g, u32 t) { return 2 * t * ROW + 16 * g; }
    DEVICE static void load_queries(Vec16 q[2], const bf16* head, u32 t) {
#pragma unroll
        for (u32 j = 0; j < 2; ++j) {
            Vec16 v = load16(head + 32 * j + 8 * t);
#pragma unroll
            for (u32 i = 0; i < 4; ++i) q[j].w[i % 2 * 2 + i / 2] = v.w[i];
        }
    }
    DEVICE void load_keys(const u8* from, bool wanted) {
#pragma unroll
        for (u32 i = 0; i < 4; ++i) load16_if(keys[i / 2][i % 2], from + i / 2 * 8 * ROW + i % 2 * 64, wanted);
    }
    DEVICE void load_values(const u8* from, bool wanted) {
#pragma unroll
        for (u32 i = 0; i < 4; ++i) load16_if(values[i], from + (i / 2 * 8 + i % 2) * ROW, wanted);
    }
    DEVICE void clear_value(u32 i) { values[i] = Vec16{{0, 0, 0, 0}}; }
    // Elements 4i .. of key g + 8 half, as an operand.
    DEVICE void key(u32 out[2], u32 half, u32 i) const {
        out[0] = keys[half][i / 2].w[i % 2 * 2];
        out[1] = keys[half][i / 2].w[i % 2 * 2 + 1];
    }
    DEVICE static void multiply(float sums[4], const u32 a[4], u32 b0, u32 b1) { mma_bf16(sums, a[0], a[1], a[2], a[3], b0, b1); }
    DEVICE static u32 weights(float low, float high) { return pair_of(low, high); }
    DEVICE void add(float sums[4][4], u32 w0, u32 w1) const {
#pragma unroll
        for (u32 i = 0; i < 4; ++i) {
            u32 a = values[0].w[i], b = values[1].w[i], c = values[2].w[i], d = values[3].w[i];
            mma_bf16(sums[i], low_halves(a, b), high_halves(a, b), low_halves(c, d), high_halves(c, d), w0, w1);
        }
    }
};

// In f16, which holds e4m3 exactly.
template <>
struct KvTile<true> {
    static const u32 ROW = DIM;
    // From element 16t on, of keys g and g + 8; from 8g on, of the four values.
    Vec16 keys[2];
    Vec8 values[4];

    DEVICE static u32 key_at(u32 g, u32 t) { return g * ROW + 16 * t; }
    DEVICE static u32 value_at(u32 g, u32 t) { return 2 * t * ROW + 8 * g; }
    // What bf16 holds beyond f16's range becomes the largest of f16, so that no score is NaN for it; a NaN stays one.
    DEVICE static float limit(float x) { return x > 65504.0f ? 65504.0f : x < -65504.0f ? -65504.0f : x; }
    DEVICE static void load_queries(Vec16 q[2], const bf16* head, u32 t) {
#pragma unroll
        for (u32 j = 0; j < 2; ++j) {
            Vec16 v = load16(head + 16 * t + 8 * j);
#pragma unroll
            for (u32 i = 0; i < 4; ++i) q[j].w[i % 2 * 2 + i / 2] = f16_pair_of(limit(low_of(v.w[i])), limit(high_of(v.w[i])));
        }
    }
    DEVICE void load_keys(const u8* from, bool wanted) {
#pragma unroll
        for (u32 i = 0; i < 2; ++i) load16_if(keys[i], from + i * 8 * ROW, wanted);
    }
    DEVICE void load_values(const u8* from, bool wanted) {
#pragma unroll
        for (u32 i = 0; i < 4; ++i) load8_if(values[i], from + (i / 2 * 8 + i % 2) * ROW, wanted);
    }
    DEVICE void clear_value(u32 i) { values[i] = Vec8{{0, 0}}; }
    DEVICE void key(u32 out[2], u32 half, u32 i) const {
        out[0] = f16_of_e4m3(keys[half].w[i]);
        out[1] = f16_of_high_e4m3(keys[half].w[i]);
    }
    DEVICE static void multiply(float sums[4], const u32 a[4], u32 b0, u32 b1) { mma_f16(sums, a[0], a[1], a[2], a[3], b0, b1); }
    DEVICE static u32 weights(float low, float high) { return f16_pair_of(low, high); }
    DEVICE void add(float sums[4][4], u32 w0, u32 w1) const {
#pragma unroll
        for (u32 i = 0; i < 4; i += 2) {
            u32 a = values[0].w[i / 2], b = values[1].w[i / 2], c = values[2].w[i / 2], d = values[3].w[i / 2];
            u32 ab = low_bytes(a, b), cd = low_bytes(c, d);
            mma_f16(sums[i], f16_of_e4m3(ab), f16_of_high_e4m3(ab), f16_of_e4m3(cd), f16_of_high_e4m3(cd), w0, w1);
            ab = high_bytes(a, b), cd = high_bytes(c, d);
            mma_f16(sums[i + 1], f16_of_e4m3(ab), f16_of_high_e4m3(ab), f16_of_e4m3(cd), f16_of_high_e4m3(cd), w0, w1);
        }
    }
};

// Scores at a lane's four positions. A product has room for 16 rows where there are eight heads: the others get the queries'
// next 16 elements, and count when the keys' next 16 come.
template <bool FP8>
DEVICE void scores(float out[4], const KvTile<FP8>& tile, const Vec16 q[2]) {
#pragma unroll
    for (u32 half = 0; half < 2; ++half) {
        float even[4] = {}, odd[4] = {};
#pragma unroll
        for (u32 i = 0; i < 4; ++i) {
            u32 key[2];
            tile.key(key, half, i);
            KvTile<FP8>::multiply(i % 2 ? odd : even, q[i / 2].w, key[0], key[1]);
        }
        out[2 * half] = even[0] + odd[2];
        out[2 * half + 1] = even[1] + odd[3];
    }
}

// What a warp has of a split so far: the most of head g, the lane's part of its total, and elements
// 8g .. 8g + 7 of the sums: sums[i] has elements 8g + 2i of heads 2t and 2t + 1, then 8g + 2i + 1.
struct HeadSums {
    float max;
    float total;
    float sums[4][4];
};

// Adds a warp's tiles of a turn. `next` loads the keys or values of the next turn's tile in the place of this one's.
template <bool FP8, typename Next>
DEVICE void take_turn(HeadSums& w, KvTile<FP8> tiles[TURN], const DecodeShared& shared, float scale, const RowWork& k, u32 turn, const Next& next) {
    u32 t = threadIdx.x % 4;
    float score[TURN][4];
    const Vec16 q[2] = {shared.queries[0][threadIdx.x], shared.queries[1][threadIdx.x]};
#pragma unroll
    for (u32 u = 0; u < TURN; ++u) {
        scores<FP8>(score[u], tiles[u], q);
        next(u, false);
    }
#pragma unroll
    for (u32 u = 0; u < TURN; ++u) {
        // A tile that is not there is nowhere.
        u32 tile = tile_of(turn, u), at = tile < end_of_split(k, turn) ? tile * TILE : 0xffffff00u;
        if (at >= k.seen && at + TILE <= k.last + 1) continue;
#pragma unroll
        for (u32 e = 0; e < 4; ++e) {
            u32 position = at + 2 * t + e / 2 * 8 + e % 2;
            if (position >= k.seen && position <= k.last) continue;
            score[u][e] = not_seen();
            // Whatever lies there may be a NaN, which a weight of zero would keep.
            tiles[u].clear_value(e);
        }
    }
    float now = score[0][0];
#pragma unroll
    for (u32 e = 1; e < 4 * TURN; ++e) now = fmaxf(now, score[e / 4][e % 4]);
    // Lanes with other positions of the same head.
    now = fmaxf(now, __shfl_xor_sync(ALL_LANES, now, 1));
    now = fmaxf(w.max, scale * fmaxf(now, __shfl_xor_sync(ALL_LANES, now, 2)));
    float shrink = fast_exp2(w.max - now);
    w.max = now;
    w.total *= shrink;
#pragma unroll
    for (u32 e = 0; e < 4 * TURN; ++e) {
        float& x = score[e / 4][e % 4];
        x = fast_exp2(fmaf(x, scale, -now));
        w.total += x;
    }
    // Of the heads of the lane's sums.
    float by[2] = {__shfl_sync(ALL_LANES, shrink, 8 * t), __shfl_sync(ALL_LANES, shrink, 8 * t + 4)};
#pragma unroll
    for (u32 e = 0; e < 16; ++e) w.sums[e / 4][e % 4] *= by[e % 2];
#pragma unroll
    for (u32 u = 0; u < TURN; ++u) {
        tiles[u].add(w.sums, KvTile<FP8>::weights(score[u][0], score[u][1]), KvTile<FP8>::weights(score[u][2], score[u][3]));
        next(u, true);
    }
}

// The thread's number, asked for anew: addresses computed from it are not kept over the loop, where registers are scarce.
DEVICE u32 thread_anew() {
#ifdef OSSMARK_EMULATED
    return threadIdx.x;
#else
    u32 thread;
    asm volatile("mov.u32 %0, %%tid.x;" : "=r"(thread));
    return thread;
#endif
}

// Merges the results of a split's warps, and adds them to the row's, or puts them where `attention_combine` finds them.
DEVICE void end_split(const DecodeArgs& a, const HeadSums& w, DecodeShared& shared, u32 first_split, u32 split, u32 kv_head) {
    u32 thread = thread_anew(), lane = thread % 32, warp = thread / 32, g = lane / 4, t = lane % 4;
    float total = w.total;
    total += __shfl_xor_sync(ALL_LANES, total, 1);
    total += __shfl_xor_sync(ALL_LANES, total, 2);
    // Until here the results of the split before are read.
    __syncthreads();
    if (t == 0) {
        shared.max[warp][g] = w.max;
        shared.total[warp][g] = total;
    }
#pragma unroll
    for (u32 e = 0; e < 16; ++e) shared.sums[warp][2 * t + e / 8][8 * g + e % 8] = w.sums[e % 8 / 2][e % 2 * 2 + e / 8];
    __syncthreads();
    if (thread >= MERGERS) return;
    SoftmaxState state = empty_state();
    u32 h = thread / 16, d = thread % 16 * 4;
#pragma unroll 2
    for (u32 other = 0; other < DECODE_WARPS; ++other) {
        SoftmaxState next = {shared.max[other][h], shared.total[other][h], {}};
#pragma unroll
        for (int i = 0; i < 4; ++i) next.sums[i] = shared.sums[other][h][d + i];
        merge(state, next);
    }
    if (first_split == UNSPLIT) {
        merge(shared.state[thread], state);
        return;
    }
    float* to = a.partials + ((u64)(first_split + split) * a.pool.kv_heads + kv_head) * PARTIAL;
    if (d == 0) {
        to[2 * h] = state.max;
        to[2 * h + 1] = state.total;
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) to[2 * GROUP + thread * 4 + i] = state.sums[i];
}

template <bool FP8>
DEVICE void attend(const DecodeArgs& a) {
    __shared__ DecodeShared shared;
    u32 row = blockIdx.y, g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    u32 kv_head = blockIdx.x / a.workers, worker = blockIdx.x % a.workers;
    u32 number = a.seq_of_row[row], first_split = a.partials ? a.split_at[row] : UNSPLIT;
    RowWork k;
    k.last = a.positions[row];
    k.seen = first_seen(a.pool, k.last);
    k.step = first_split == UNSPLIT ? 1 : a.workers;
    u32 turn = k.seen / TILE;
    if (first_split != UNSPLIT && worker > 0) turn = (turn / SPLIT_TILES + worker) * SPLIT_TILES;
    if (number == NO_SEQ || turn > k.last / TILE || (first_split == UNSPLIT && worker > 0)) return;
    const SeqMeta& seq = a.pool.seqs[number];
    if (seq.rows >= a.below_rows) return;
    k.table = a.pool.window ? seq.window_offset - seq.window_first : seq.full_offset - seq.full_first;
    Vec16 q[2];
    KvTile<FP8>::load_queries(q, a.qkv + (u64)row * a.cols + (kv_head * GROUP + g) * DIM, t);
    const u32 BYTES = TILE * KvTile<FP8>::ROW;
    const u8* keys = (const u8*)a.pool.data + (u64)(a.pool.layer * 2 * a.pool.kv_heads + kv_head) * BYTES;
    u32 delta = a.pool.kv_heads * BYTES + KvTile<FP8>::value_at(g, t) - KvTile<FP8>::key_at(g, t);
    keys += KvTile<FP8>::key_at(g, t);
    u32 block_bytes = a.pool.layers * 2 * a.pool.kv_heads * BYTES;
    float scale = a.scale * LOG2_E;
    KvTile<FP8> tiles[TURN] = {};
    auto load = [&](u32 blocks, u32 turn, u32 u, bool of_values) {
        u64 at = (u64)__shfl_sync(ALL_LANES, blocks, u) * block_bytes;
        bool there = tile_of(turn, u) < end_of_split(k, turn);
        if (of_values) {
            tiles[u].load_values(keys + at + delta, there);
        } else {
            tiles[u].load_keys(keys + at, there);
        }
    };
    u32 blocks = blocks_of(a.pool, k, turn);
#pragma unroll
    for (u32 e = 0; e < 2 * TURN; ++e) load(blocks, turn, e % TURN, e >= TURN);
    blocks = blocks_of(a.pool, k, next_turn(k, turn));
    if (threadIdx.x < MERGERS) shared.state[threadIdx.x] = empty_state();
    if (threadIdx.x < GROUP) shared.sinks[threadIdx.x] = a.sinks[kv_head * GROUP + threadIdx.x];
    shared.queries[0][threadIdx.x] = q[0];
    shared.queries[1][threadIdx.x] = q[1];
    const HeadSums none = {NEVER, 0.0f, {}};
    HeadSums w = none;
    // All warps take as many turns, whether there are tiles for them or not.
    while (turn <= k.last / TILE) {
        u32 next = next_turn(k, turn), blocks_after = blocks_of(a.pool, k, next_turn(k, next)), split = turn / SPLIT_TILES;
        take_turn<FP8>(w, tiles, shared, scale, k, turn, [&](u32 u, bool of_values) { load(blocks, next, u, of_values); });
        blocks = blocks_after;
        turn = next;
        if (next / SPLIT_TILES == split) continue;
        // The next split's first turn is on its way meanwhile.
        end_split(a, w, shared, first_split, split, kv_head);
        w = none;
    }
    if (first_split != UNSPLIT || threadIdx.x >= MERGERS) return;
    u32 h = threadIdx.x / 16;
    finish(a, row, kv_head * GROUP + h, shared.sinks[h], shared.state[threadIdx.x]);
}

// 256 threads; blockIdx.x is the kv head times the workers plus the worker, blockIdx.y the row.
KERNEL __launch_bounds__(256, 2) attention_decode(const DecodeArgs a) {
    kernel_begins();
    attend<false>(a);
}

// The same for a pool of e4m3.
KERNEL __launch_bounds__(256, 2) attention_decode_fp8(const DecodeArgs a) {
    kernel_begins();
    attend<true>(a);
}

// 128 threads; blockIdx.x is the kv head, blockIdx.y the row.
KERNEL __launch_bounds__(128) attention_combine(const DecodeArgs a) {
    kernel_begins();
    u32 row = blockIdx.y, kv_head = blockIdx.x, h = threadIdx.x / 16;
    u32 number = a.seq_of_row[row], first_split = a.split_at[row], last = a.positions[row];
    float sink = a.sinks[kv_head * GROUP + h];
    if (number == NO_SEQ || first_split == UNSPLIT || a.pool.seqs[number].rows >= a.below_rows) return;
    SoftmaxState state = empty_state();
    u32 splits = last / SPLIT + 1;
    for (u32 first = first_seen(a.pool, last) / SPLIT; first < splits; first += 4) {
        // Four results in one trip to memory; merging nothing changes nothing.
        Vec8 head[4];
        Vec16 sums[4];
#pragma unroll
        for (u32 i = 0; i < 4; ++i) {
            const float* from = a.partials + ((u64)(first_split + first + i) * a.pool.kv_heads + kv_head) * PARTIAL;
            head[i] = Vec8{{__float_as_uint(NEVER), 0}};
            sums[i] = Vec16{{0, 0, 0, 0}};
            load8_if(head[i], from + 2 * h, first + i < splits);
            load16_if(sums[i], from + 2 * GROUP + threadIdx.x * 4, first + i < splits);
        }
#pragma unroll
        for (u32 i = 0; i < 4; ++i) {
            SoftmaxState next = {__uint_as_float(head[i].w[0]), __uint_as_float(head[i].w[1]), {}};
#pragma unroll
            for (u32 e = 0; e < 4; ++e) next.sums[e] = __uint_as_float(sums[i].w[e]);
            merge(state, next);
        }
    }
    finish(a, row, kv_head * GROUP + h, sink, state);
}
