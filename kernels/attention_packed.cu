// Attention for gpt-oss's heads (64 elements, eight query heads a kv head): each key and value is read once for all eight.
// Bandwidth-bound; for sequences with few new rows.
// Reference: crates/engine/src/cpu/attention.rs
// SASS: LDG.E.128.CONSTANT LDG.E.64.CONSTANT F2FP.F16.E4M3.UNPACK_B
//
// Positions are cut into splits of 512, counted from 0, and a split is summed in an order of its own; splits are then
// merged in order. So a row's bits are the same whether one block does all its splits, or several do some of them each
// and `attention_combine` merges. What the host decides per step lies in device memory (`split_at`), so that a recorded
// launch stays good for any lengths.
#include "include/step.h"

struct PackedArgs {
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
ASSERT_SIZE(PackedArgs, 136);
ASSERT_OFFSET(PackedArgs, partials, 96);
ASSERT_OFFSET(PackedArgs, cols, 112);

const u32 ALONE = 0xffffffffu;

const u32 SPLIT = 512;
const u32 GROUP = 8;
const u32 DIM = 64;
const u32 PACKED_WARPS = 4;
// Most and total of each head, then its sums.
const u32 PARTIAL = GROUP * (2 + DIM);
const float NEVER = -3.0e38f;

struct PackedShared {
    float most[PACKED_WARPS][GROUP];
    float total[PACKED_WARPS][GROUP];
    float sums[PACKED_WARPS][GROUP][DIM];
};

// A thread's share of a result: four elements of one head.
struct Share {
    float most;
    float total;
    float sums[4];
};

DEVICE void merge(Share& into, const Share& next) {
    float most = fmaxf(into.most, next.most);
    float a = expf(into.most - most), b = expf(next.most - most);
    into.most = most;
    into.total = into.total * a + next.total * b;
#pragma unroll
    for (int i = 0; i < 4; ++i) into.sums[i] = into.sums[i] * a + next.sums[i] * b;
}

DEVICE void finish(const PackedArgs& a, u32 row, u32 head, const Share& s) {
    float sink = a.sinks[head], most = fmaxf(s.most, sink), shrink = expf(s.most - most);
    float total = s.total * shrink + expf(sink - most);
    bf16* out = a.out + ((u64)row * a.heads + head) * DIM + threadIdx.x % 16 * 4;
#pragma unroll
    for (int i = 0; i < 4; ++i) out[i] = bf16_of(s.sums[i] * shrink / total);
}

// Positions of a split that the row sees.
struct Span {
    u32 begin;
    u32 end;
};

DEVICE Span span_of(const PackedArgs& a, u32 last, u32 split) {
    u32 first = first_seen(a.pool, last), begin = split * SPLIT;
    Span s = {begin > first ? begin : first, least(begin + SPLIT, last + 1)};
    return s;
}

// Eight elements of a key or value.
template <bool FP8>
struct Piece;

template <>
struct Piece<false> {
    // Rounds of four positions that are loaded at a time: 16 KB in flight for a block either way.
    static const int ROUNDS = 1;
    Vec16 v;
    DEVICE void load(const KvPool& pool, u64 at) { v = load16((const bf16*)pool.data + at); }
    DEVICE void clear() { v = Vec16{{0, 0, 0, 0}}; }
    DEVICE void values(float x[8]) const {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            x[2 * i] = low_of(v.w[i]);
            x[2 * i + 1] = high_of(v.w[i]);
        }
    }
};

template <>
struct Piece<true> {
    static const int ROUNDS = 2;
    Vec8 v;
    DEVICE void load(const KvPool& pool, u64 at) { v = load8((const u8*)pool.data + at); }
    DEVICE void clear() { v = Vec8{{0, 0}}; }
    DEVICE void values(float x[8]) const {
#pragma unroll
        for (int i = 0; i < 4; ++i) e4m3_pair(v.w[i / 2] >> (i % 2 * 16), x[2 * i], x[2 * i + 1]);
    }
};

// A warp's lanes are four positions of eight lanes; a lane has eight elements of the head, for all eight query heads.
template <bool FP8>
DEVICE Share split_sum(const PackedArgs& a, const SeqMeta& seq, u32 kv_head, Span span, const float q[GROUP][8], PackedShared& shared) {
    u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32, part = lane % 8, group = lane & 24u;
    float most = NEVER, total = 0.0f, sums[GROUP][8];
#pragma unroll
    for (u32 h = 0; h < GROUP; ++h) {
#pragma unroll
        for (int i = 0; i < 8; ++i) sums[h][i] = 0.0f;
    }
    const int ROUNDS = Piece<FP8>::ROUNDS;
    // Whole rounds, so that a position's place does not depend on where the window begins.
    for (u32 base = span.begin / (64 * ROUNDS) * (64 * ROUNDS); base < span.end; base += 64 * ROUNDS) {
        Piece<FP8> k[4 * ROUNDS], v[4 * ROUNDS];
        bool inside[4 * ROUNDS];
#pragma unroll
        for (int u = 0; u < 4 * ROUNDS; ++u) {
            u32 position = base + 16 * u + 4 * warp + lane / 8;
            inside[u] = position >= span.begin && position < span.end;
            if (inside[u]) {
                u64 key = kv_at(a.pool, seq, 0, kv_head, position) + 8 * part;
                k[u].load(a.pool, key);
                v[u].load(a.pool, key + (u64)a.pool.kv_heads * a.pool.block_size * DIM);
            } else {
                k[u].clear();
                v[u].clear();
            }
        }
#pragma unroll
        for (int first = 0; first < 4 * ROUNDS; first += 4) {
            // The lane's own head: `part`.
            float score[4], now = most;
#pragma unroll
            for (int u = 0; u < 4; ++u) {
                float x[8], dot[GROUP];
                k[first + u].values(x);
#pragma unroll
                for (u32 h = 0; h < GROUP; ++h) {
                    dot[h] = 0.0f;
#pragma unroll
                    for (int i = 0; i < 8; ++i) dot[h] = fmaf(q[h][i], x[i], dot[h]);
                }
                // Halves the heads and doubles the summed lanes, three times: lane `part` ends with head `part`.
#pragma unroll
                for (int step = 4; step > 0; step /= 2) {
                    bool upper = part & step;
#pragma unroll
                    for (int i = 0; i < step; ++i) {
                        float keep = upper ? dot[i + step] : dot[i], give = upper ? dot[i] : dot[i + step];
                        dot[i] = keep + __shfl_xor_sync(ALL_LANES, give, step);
                    }
                }
                score[u] = inside[first + u] ? dot[0] * a.scale : NEVER;
                now = fmaxf(now, score[u]);
            }
            float shrink = expf(most - now), weight[4];
            most = now;
            total *= shrink;
#pragma unroll
            for (int u = 0; u < 4; ++u) {
                weight[u] = inside[first + u] ? expf(score[u] - now) : 0.0f;
                total += weight[u];
            }
#pragma unroll
            for (u32 h = 0; h < GROUP; ++h) {
                float by = __shfl_sync(ALL_LANES, shrink, group + h);
#pragma unroll
                for (int i = 0; i < 8; ++i) sums[h][i] *= by;
            }
#pragma unroll
            for (int u = 0; u < 4; ++u) {
                float x[8];
                v[first + u].values(x);
#pragma unroll
                for (u32 h = 0; h < GROUP; ++h) {
                    float p = __shfl_sync(ALL_LANES, weight[u], group + h);
#pragma unroll
                    for (int i = 0; i < 8; ++i) sums[h][i] = fmaf(p, x[i], sums[h][i]);
                }
            }
        }
    }
    // The four positions of a warp, then the warps.
    float all = fmaxf(most, __shfl_xor_sync(ALL_LANES, most, 8));
    all = fmaxf(all, __shfl_xor_sync(ALL_LANES, all, 16));
    float by = expf(most - all);
    total *= by;
    total += __shfl_xor_sync(ALL_LANES, total, 8);
    total += __shfl_xor_sync(ALL_LANES, total, 16);
    __syncthreads();
    if (lane < 8) {
        shared.most[warp][lane] = all;
        shared.total[warp][lane] = total;
    }
#pragma unroll
    for (u32 h = 0; h < GROUP; ++h) {
        float mine = __shfl_sync(ALL_LANES, by, group + h);
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            float sum = sums[h][i] * mine;
            sum += __shfl_xor_sync(ALL_LANES, sum, 8);
            sum += __shfl_xor_sync(ALL_LANES, sum, 16);
            if (lane < 8) shared.sums[warp][h][8 * part + i] = sum;
        }
    }
    __syncthreads();
    u32 h = threadIdx.x / 16, d = threadIdx.x % 16 * 4;
    Share share = {NEVER, 0.0f, {0.0f, 0.0f, 0.0f, 0.0f}};
#pragma unroll
    for (u32 w = 0; w < PACKED_WARPS; ++w) {
        Share next = {shared.most[w][h], shared.total[w][h], {}};
#pragma unroll
        for (int i = 0; i < 4; ++i) next.sums[i] = shared.sums[w][h][d + i];
        merge(share, next);
    }
    return share;
}

template <bool FP8>
DEVICE void attend(const PackedArgs& a) {
    __shared__ PackedShared shared;
    u32 row = blockIdx.y, part = threadIdx.x % 8;
    u32 kv_head = blockIdx.x / a.workers, worker = blockIdx.x % a.workers;
    if (a.seq_of_row[row] == NO_SEQ || a.pool.seqs[a.seq_of_row[row]].rows >= a.below_rows) return;
    u32 place = a.partials ? a.split_at[row] : ALONE, last = a.positions[row];
    if (place == ALONE && worker > 0) return;
    u32 split = first_seen(a.pool, last) / SPLIT, last_split = last / SPLIT;
    if (place != ALONE) split += worker;
    if (split > last_split) return;
    SeqMeta seq = a.pool.seqs[a.seq_of_row[row]];
    float q[GROUP][8];
#pragma unroll
    for (u32 h = 0; h < GROUP; ++h) {
        Vec16 v = load16(a.qkv + (u64)row * a.cols + (kv_head * GROUP + h) * DIM + 8 * part);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            q[h][2 * i] = low_of(v.w[i]);
            q[h][2 * i + 1] = high_of(v.w[i]);
        }
    }
    Share share = {NEVER, 0.0f, {0.0f, 0.0f, 0.0f, 0.0f}};
    for (; split <= last_split; split += place == ALONE ? 1 : a.workers) {
        Share next = split_sum<FP8>(a, seq, kv_head, span_of(a, last, split), q, shared);
        if (place == ALONE) {
            merge(share, next);
            continue;
        }
        float* to = a.partials + ((u64)(place + split) * a.pool.kv_heads + kv_head) * PARTIAL;
        u32 h = threadIdx.x / 16;
        if (threadIdx.x % 16 == 0) {
            to[2 * h] = next.most;
            to[2 * h + 1] = next.total;
        }
#pragma unroll
        for (int i = 0; i < 4; ++i) to[2 * GROUP + threadIdx.x * 4 + i] = next.sums[i];
    }
    if (place == ALONE) finish(a, row, kv_head * GROUP + threadIdx.x / 16, share);
}

// 128 threads; blockIdx.x is the kv head times the workers plus the worker, blockIdx.y the row.
KERNEL __launch_bounds__(128, 2) attention_packed(const PackedArgs a) { attend<false>(a); }

// The same for a pool of e4m3.
KERNEL __launch_bounds__(128, 2) attention_packed_fp8(const PackedArgs a) { attend<true>(a); }

// 128 threads; blockIdx.x is the kv head, blockIdx.y the row.
KERNEL attention_combine(const PackedArgs a) {
    u32 row = blockIdx.y, kv_head = blockIdx.x, h = threadIdx.x / 16;
    if (a.seq_of_row[row] == NO_SEQ || a.split_at[row] == ALONE || a.pool.seqs[a.seq_of_row[row]].rows >= a.below_rows) return;
    u32 place = a.split_at[row], last = a.positions[row];
    Share share = {NEVER, 0.0f, {0.0f, 0.0f, 0.0f, 0.0f}};
    for (u32 split = first_seen(a.pool, last) / SPLIT; split <= last / SPLIT; ++split) {
        const float* from = a.partials + ((u64)(place + split) * a.pool.kv_heads + kv_head) * PARTIAL;
        Share next = {from[2 * h], from[2 * h + 1], {}};
#pragma unroll
        for (int i = 0; i < 4; ++i) next.sums[i] = from[2 * GROUP + threadIdx.x * 4 + i];
        merge(share, next);
    }
    finish(a, row, kv_head * GROUP + h, share);
}
