// `rope` and `kv_write` in one: rotates the query heads in place, and puts rotated keys and the values into the pool; the
// keys of `qkv` stay as they were. Bandwidth-bound; one block per row and kv head, for heads in whole groups of four.
// Reference: crates/engine/src/cpu/attention.rs
// SASS: LDG.E.128 F2FP.SATFINITE.E4M3.F32.PACK_AB_MERGE_C
#include "include/rope.h"
#include "include/step.h"

struct RopeKvArgs {
    KvPool pool;
    bf16* qkv;
    const u32* positions;
    const u32* seq_of_row;
    // As in rope.cu.
    const float* table;
    u32 cols;
    u32 heads;
};
ASSERT_SIZE(RopeKvArgs, 96);
ASSERT_OFFSET(RopeKvArgs, qkv, 56);
ASSERT_OFFSET(RopeKvArgs, cols, 88);

// 128 threads; blockIdx.x is the kv head, blockIdx.y the row.
KERNEL __launch_bounds__(128) rope_kv(const RopeKvArgs a) {
    kernel_begins();
    u32 kv_head = blockIdx.x, row = blockIdx.y, dim = a.pool.head_dim, half = dim / 2, group = a.heads / a.pool.kv_heads;
    if (a.seq_of_row[row] == NO_SEQ) return;
    SeqMeta seq = a.pool.seqs[a.seq_of_row[row]];
    u32 position = a.positions[row];
    const float* cos_sins = a.table + (u64)position * half * 2;
    bf16* x = a.qkv + (u64)row * a.cols;
    // Two neighbouring pairs at a time: the query heads, then the key.
    for (u32 i = threadIdx.x; i < (group + 1) * (half / 2); i += blockDim.x) {
        u32 head = i / (half / 2), pair = i % (half / 2) * 2;
        bf16* first = x + (head < group ? kv_head * group + head : a.heads + kv_head) * dim + pair;
        Vec16 cos_sin = load16(cos_sins + 2 * pair);
        u32 xs = *(const u32*)first, ys = *(const u32*)(first + half), out[2];
        float cos[2] = {__uint_as_float(cos_sin.w[0]), __uint_as_float(cos_sin.w[2])};
        float sin[2] = {__uint_as_float(cos_sin.w[1]), __uint_as_float(cos_sin.w[3])};
        out[0] = pair_of(rotated_first(low_of(xs), low_of(ys), cos[0], sin[0]), rotated_first(high_of(xs), high_of(ys), cos[1], sin[1]));
        out[1] = pair_of(rotated_second(low_of(xs), low_of(ys), cos[0], sin[0]), rotated_second(high_of(xs), high_of(ys), cos[1], sin[1]));
        if (head < group) {
            *(u32*)first = out[0];
            *(u32*)(first + half) = out[1];
        } else {
            u64 key = kv_at(a.pool, seq, 0, kv_head, position) + pair;
            kv_store2(a.pool, key, out[0]);
            kv_store2(a.pool, key + half, out[1]);
        }
    }
    const bf16* value = x + (a.heads + a.pool.kv_heads + kv_head) * dim;
    u64 to = kv_at(a.pool, seq, 1, kv_head, position);
    for (u32 i = threadIdx.x; i < half; i += blockDim.x) kv_store2(a.pool, to + 2 * i, ((const u32*)value)[i]);
}
