// Copies the keys and values of each row to their positions in the pool, rounded to e4m3 where the pool keeps that. One
// block per row.
// Reference: crates/engine/src/cpu/attention.rs
#include "include/step.h"

struct KvWriteArgs {
    KvPool pool;
    const bf16* qkv;
    const u32* positions;
    const u32* seq_of_row;
    u32 cols;
    // Where the keys begin in a row.
    u32 q_dim;
};
ASSERT_SIZE(KvWriteArgs, 88);
ASSERT_OFFSET(KvWriteArgs, qkv, 56);
ASSERT_OFFSET(KvWriteArgs, cols, 80);

KERNEL __launch_bounds__(256) kv_write(const KvWriteArgs a) {
    kernel_begins();
    u32 row = blockIdx.x, dim = a.pool.head_dim;
    if (a.seq_of_row[row] == NO_SEQ) return;
    SeqMeta seq = a.pool.seqs[a.seq_of_row[row]];
    const bf16* from = a.qkv + (u64)row * a.cols + a.q_dim;
    for (u32 i = threadIdx.x; i < 2 * a.pool.kv_heads * dim; i += blockDim.x) {
        u32 head = i / dim;
        u64 to = kv_at(a.pool, seq, head / a.pool.kv_heads, head % a.pool.kv_heads, a.positions[row]);
        kv_store(a.pool, to + i % dim, from[i]);
    }
}
