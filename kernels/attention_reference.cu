// Reference attention with sinks over the paged pool, for any heads, head_dim up to 256, full or window. Correct, not fast; the
// device's reference for `attention_decode`.
// Reference: crates/engine/src/cpu/attention.rs
#include "include/step.h"

struct AttentionArgs {
    KvPool pool;
    const bf16* qkv;
    const u32* positions;
    const u32* seq_of_row;
    const float* sinks;
    bf16* out;
    u32 cols;
    u32 heads;
    float scale;
    u32 unused;
};
ASSERT_SIZE(AttentionArgs, 112);
ASSERT_OFFSET(AttentionArgs, cols, 96);

// One block of 128 threads per query head and row: a chunk of 128 positions at a time, a score a thread, then two
// elements of the head a thread.
KERNEL __launch_bounds__(128) attention_reference(const AttentionArgs a) {
    kernel_begins();
    __shared__ float q[256];
    __shared__ float p[128];
    __shared__ float scratch[32];
    u32 head = blockIdx.x, row = blockIdx.y, dim = a.pool.head_dim;
    u32 kv_head = head / (a.heads / a.pool.kv_heads);
    if (a.seq_of_row[row] == NO_SEQ) return;
    SeqMeta seq = a.pool.seqs[a.seq_of_row[row]];
    u32 last = a.positions[row];
    for (u32 i = threadIdx.x; i < dim; i += 128) q[i] = f32_of(a.qkv[(u64)row * a.cols + head * dim + i]);
    // The sink is a position without a value.
    float max = a.sinks[head], total = 1.0f;
    float sum[2] = {0.0f, 0.0f};
    __syncthreads();
    for (u32 first = first_seen(a.pool, last); first <= last; first += 128) {
        u32 n = min_u32(128, last + 1 - first);
        float score = -3.0e38f;
        if (threadIdx.x < n) {
            u64 k = kv_at(a.pool, seq, 0, kv_head, first + threadIdx.x);
            float dot = 0.0f;
            for (u32 i = 0; i < dim; ++i) dot = fmaf(q[i], kv_value(a.pool, k + i), dot);
            score = dot * a.scale;
        }
        float now = fmaxf(max, block_max(score, scratch));
        float shrink = expf(max - now), weight = threadIdx.x < n ? expf(score - now) : 0.0f;
        // A NaN must not be lost in the comparisons of the maximum.
        total = total * shrink + block_sum(weight, scratch);
        p[threadIdx.x] = weight;
        max = now;
        __syncthreads();
        for (u32 j = 0; j < 2; ++j) {
            u32 d = threadIdx.x + 128 * j;
            if (d >= dim) continue;
            sum[j] *= shrink;
            for (u32 i = 0; i < n; ++i) {
                sum[j] = fmaf(p[i], kv_value(a.pool, kv_at(a.pool, seq, 1, kv_head, first + i) + d), sum[j]);
            }
        }
        __syncthreads();
    }
    for (u32 j = 0; j < 2; ++j) {
        u32 d = threadIdx.x + 128 * j;
        if (d < dim) a.out[((u64)row * a.heads + head) * dim + d] = bf16_of(sum[j] / total);
    }
}
