// Attention for sequences with many new rows, on the tensor cores: gpt-oss's heads (64 elements, eight query heads a kv head).
// Sequences with fewer than `from_rows` rows are left to `attention_decode`.
// Reference: crates/engine/src/cpu/attention.rs
// SASS: HMMA.16816.F32.BF16 LDSM.16.M88.4 LDSM.16.MT88.4 LDGSTS.E.BYPASS.128
//
// A block takes 16 rows of the step and one kv head: 128 pairs of a row and a query head, 32 for each of four warps, so that
// keys and values are read from shared memory for 32 at once. With g = lane / 4, a warp's tile of 16 is head g of two
// neighbouring rows. Keys and values come 64 positions at a time, the next while these are worked on; a running maximum and
// total for each pair, weights rounded to bf16 for the second product, the sink in the end. Rows of several sequences are
// done one sequence after the other.
#include "include/copy.h"
#include "include/mma.h"
#include "include/step.h"

struct PrefillArgs {
    KvPool pool;
    const bf16* qkv;
    const u32* positions;
    const u32* seq_of_row;
    const float* sinks;
    bf16* out;
    u32 cols;
    u32 heads;
    float scale;
    // Rows of the step, and rows of a sequence from which on this kernel does it.
    u32 rows;
    u32 from_rows;
    u32 unused;
};
ASSERT_SIZE(PrefillArgs, 120);
ASSERT_OFFSET(PrefillArgs, cols, 96);

const u32 PREFILL_ROWS = 16;
const u32 PREFILL_POSITIONS = 64;
const u32 PREFILL_DIM = 64;
const u32 PREFILL_GROUP = 8;
// A buffer: 64 keys, then 64 values, of 128 bytes; chunk c (16 bytes) of row r is at chunk c ^ (r % 8).
const u32 PREFILL_VALUES = PREFILL_POSITIONS * PREFILL_DIM * 2;
const u32 PREFILL_BUFFER = 2 * PREFILL_VALUES;
// Below every score, and what is not seen: a row that has seen nothing yet gets weights of zero.
const float PREFILL_NEVER = -3.0e38f;
DEVICE float prefill_unseen() { return __uint_as_float(0xff800000u); }

DEVICE u32 prefill_chunk(u32 row, u32 chunk) { return row * (PREFILL_DIM * 2) + (chunk ^ (row % 8)) * 16; }

// Sixteen bytes' worth of e4m3 as bf16, which holds every one exactly.
DEVICE Vec16 prefill_widen(Vec8 v) {
    Vec16 out;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        float low, high;
        e4m3_pair(v.w[i / 2] >> (i % 2 * 16), low, high);
        out.w[i] = pair_of(low, high);
    }
    return out;
}

// Keys and values of positions `base` .. `base` + 63, zero where the rows see none of them.
template <bool FP8>
DEVICE void prefill_copy(const PrefillArgs& a, const SeqMeta& seq, u32 kv_head, u32 base, u32 begin, u32 end, unsigned char* shared,
                         u32 buffer) {
    u32 chunk = threadIdx.x % 8;
    u64 values = (u64)a.pool.kv_heads * a.pool.block_size * PREFILL_DIM;
#pragma unroll
    for (u32 i = 0; i < PREFILL_POSITIONS / 16; ++i) {
        u32 row = threadIdx.x / 8 + 16 * i, position = base + row, to = buffer + prefill_chunk(row, chunk);
        bool inside = position >= begin && position < end;
        u64 key = inside ? kv_at(a.pool, seq, 0, kv_head, position) + 8 * chunk : 0;
        if (FP8) {
            Vec8 nothing = {{0, 0}};
            Vec8 k = inside ? load8((const u8*)a.pool.data + key) : nothing;
            Vec8 v = inside ? load8((const u8*)a.pool.data + key + values) : nothing;
            *(Vec16*)(shared + to) = prefill_widen(k);
            *(Vec16*)(shared + to + PREFILL_VALUES) = prefill_widen(v);
        } else {
            const bf16* from = (const bf16*)a.pool.data + key;
            u32 at = shared_address(shared) + to;
            copy16(at, from, inside ? 16 : 0);
            copy16(at + PREFILL_VALUES, inside ? from + values : from, inside ? 16 : 0);
        }
    }
    copy_commit();
}

// The rows `first` .. `last` of the step, all of one sequence, at most 16.
template <bool FP8>
DEVICE void prefill_rows(const PrefillArgs& a, const SeqMeta& seq, u32 first, u32 last, unsigned char* shared) {
    u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4, kv_head = blockIdx.x;
    u32 at = shared_address(shared);
    // [tile][row g, row g + 8]: a row of the step, the last again where there are fewer.
    u32 row[2][2], position[2][2], q[2][4][4];
#pragma unroll
    for (int m = 0; m < 2; ++m) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            row[m][half] = min_u32(first + 4 * warp + 2 * m + half, last);
            position[m][half] = a.positions[row[m][half]];
            const bf16* from = a.qkv + (u64)row[m][half] * a.cols + (kv_head * PREFILL_GROUP + g) * PREFILL_DIM + 2 * t;
#pragma unroll
            for (int k = 0; k < 4; ++k) {
                q[m][k][half] = *(const u32*)(from + 16 * k);
                q[m][k][half + 2] = *(const u32*)(from + 16 * k + 8);
            }
        }
    }
    u32 begin = first_seen(a.pool, a.positions[first]), end = a.positions[last] + 1;
    // Positions that all rows see.
    u32 all_from = first_seen(a.pool, end - 1), all_to = a.positions[first];
    float max[2][2], total[2][2], sums[2][8][4];
#pragma unroll
    for (int m = 0; m < 2; ++m) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            max[m][i] = PREFILL_NEVER;
            total[m][i] = 0.0f;
        }
#pragma unroll
        for (int n = 0; n < 8; ++n) {
#pragma unroll
            for (int i = 0; i < 4; ++i) sums[m][n][i] = 0.0f;
        }
    }
    // Powers of two, not of e.
    float scale = a.scale * 1.4426950408889634f;
    u32 base = begin / PREFILL_POSITIONS * PREFILL_POSITIONS, buffer = 0;
    prefill_copy<FP8>(a, seq, kv_head, base, begin, end, shared, 0);
    for (; base < end; base += PREFILL_POSITIONS, buffer = PREFILL_BUFFER - buffer) {
        // Before the barrier at the end of the last turn nobody wrote to the other buffer.
        if (base + PREFILL_POSITIONS < end) {
            prefill_copy<FP8>(a, seq, kv_head, base + PREFILL_POSITIONS, begin, end, shared, PREFILL_BUFFER - buffer);
        } else {
            copy_commit();
        }
        copy_wait<1>();
        __syncthreads();
        // Two halves of 32 positions: registers hold the scores of one.
#pragma unroll
        for (u32 part = 0; part < 2; ++part) {
            u32 from = base + 32 * part;
            float score[2][4][4];
#pragma unroll
            for (int n = 0; n < 4; ++n) {
                u32 k_row = 32 * part + 8 * n + lane % 8, keys[2][4];
#pragma unroll
                for (int i = 0; i < 2; ++i) load_tiles<false>(keys[i], at + buffer + prefill_chunk(k_row, 4 * i + lane / 8));
#pragma unroll
                for (int m = 0; m < 2; ++m) {
#pragma unroll
                    for (int i = 0; i < 4; ++i) score[m][n][i] = 0.0f;
#pragma unroll
                    for (int k = 0; k < 4; ++k) {
                        mma_bf16(score[m][n], q[m][k][0], q[m][k][1], q[m][k][2], q[m][k][3], keys[k / 2][k % 2 * 2], keys[k / 2][k % 2 * 2 + 1]);
                    }
                }
            }
            if (from < all_from || from + 31 > all_to) {
#pragma unroll
                for (int m = 0; m < 2; ++m) {
#pragma unroll
                    for (int i = 0; i < 16; ++i) {
                        u32 p = position[m][i / 2 % 2], key = from + i / 4 * 8 + 2 * t + i % 2;
                        if (key > p || key < first_seen(a.pool, p)) score[m][i / 4][i % 4] = prefill_unseen();
                    }
                }
            }
            u32 weights[2][4][2];
#pragma unroll
            for (int m = 0; m < 2; ++m) {
#pragma unroll
                for (int half = 0; half < 2; ++half) {
                    float now = max[m][half];
#pragma unroll
                    for (int n = 0; n < 4; ++n) {
#pragma unroll
                        for (int e = 0; e < 2; ++e) now = fmaxf(now, score[m][n][2 * half + e]);
                    }
                    now = fmaxf(now, __shfl_xor_sync(ALL_LANES, now, 1));
                    now = fmaxf(now, __shfl_xor_sync(ALL_LANES, now, 2));
                    float shrink = fast_exp2((max[m][half] - now) * scale), sum = 0.0f, less = -now * scale;
                    max[m][half] = now;
#pragma unroll
                    for (int n = 0; n < 4; ++n) {
                        float low = fast_exp2(fmaf(score[m][n][2 * half], scale, less));
                        float high = fast_exp2(fmaf(score[m][n][2 * half + 1], scale, less));
                        sum += low + high;
                        weights[m][n][half] = pair_of(low, high);
                    }
                    total[m][half] = total[m][half] * shrink + sum;
#pragma unroll
                    for (int n = 0; n < 8; ++n) {
                        sums[m][n][2 * half] *= shrink;
                        sums[m][n][2 * half + 1] *= shrink;
                    }
                }
            }
#pragma unroll
            for (int k = 0; k < 2; ++k) {
                u32 v_row = 32 * part + 16 * k + lane % 16;
#pragma unroll
                for (int n = 0; n < 4; ++n) {
                    u32 values[4];
                    load_tiles<true>(values, at + buffer + PREFILL_VALUES + prefill_chunk(v_row, 2 * n + lane / 16));
#pragma unroll
                    for (int m = 0; m < 2; ++m) {
                        const u32(*w)[2] = &weights[m][2 * k];
                        mma_bf16(sums[m][2 * n], w[0][0], w[0][1], w[1][0], w[1][1], values[0], values[1]);
                        mma_bf16(sums[m][2 * n + 1], w[0][0], w[0][1], w[1][0], w[1][1], values[2], values[3]);
                    }
                }
            }
        }
        __syncthreads();
    }
    copy_wait<0>();
    u32 head = kv_head * PREFILL_GROUP + g;
    float sink = a.sinks[head] * 1.4426950408889634f;
#pragma unroll
    for (int m = 0; m < 2; ++m) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            float all = total[m][half];
            all += __shfl_xor_sync(ALL_LANES, all, 1);
            all += __shfl_xor_sync(ALL_LANES, all, 2);
            float top = fmaxf(max[m][half] * scale, sink), shrink = fast_exp2(max[m][half] * scale - top);
            float by = shrink / (all * shrink + fast_exp2(sink - top));
            if (first + 4 * warp + 2 * m + half > last) continue;
            bf16* out = a.out + ((u64)row[m][half] * a.heads + head) * PREFILL_DIM + 2 * t;
#pragma unroll
            for (int n = 0; n < 8; ++n) *(u32*)(out + 8 * n) = pair_of(sums[m][n][2 * half] * by, sums[m][n][2 * half + 1] * by);
        }
    }
}

template <bool FP8>
DEVICE void prefill(const PrefillArgs& a) {
    DYNAMIC_SHARED(shared);
    // The last rows see most, and begin first: blocks that begin last should be over soon.
    u32 begin = (gridDim.y - 1 - blockIdx.y) * PREFILL_ROWS, end = min_u32(begin + PREFILL_ROWS, a.rows);
    while (begin < end) {
        u32 number = a.seq_of_row[begin];
        if (number == NO_SEQ) return;
        SeqMeta seq = a.pool.seqs[number];
        u32 last = min_u32(seq.first_row + seq.rows, end) - 1;
        if (seq.rows >= a.from_rows) prefill_rows<FP8>(a, seq, begin, last, shared);
        begin = last + 1;
    }
}

// 128 threads; blockIdx.x is the kv head, blockIdx.y the 16 rows, the last ones first.
KERNEL __launch_bounds__(128, 2) attention_prefill(const PrefillArgs a) {
    kernel_begins();
    prefill<false>(a);
}

// The same for a pool of e4m3.
KERNEL __launch_bounds__(128, 2) attention_prefill_fp8(const PrefillArgs a) {
    kernel_begins();
    prefill<true>(a);
}
