// Rotates the query and key heads in place (NeoX halves). Cosines and sines come from a table that the host computed in
// f32: the device's own sincosf would need local memory for the large angles of long contexts.
// Reference: crates/engine/src/cpu/pointwise.rs
#include "include/rope.h"

struct RopeArgs {
    bf16* qkv;
    const u32* positions;
    // [position][head_dim / 2] of (cos, sin), the concentration multiplied in.
    const float* table;
    u32 cols;
    // Query and key heads together.
    u32 heads;
    u32 half;
    u32 unused;
};
ASSERT_SIZE(RopeArgs, 40);
ASSERT_OFFSET(RopeArgs, cols, 24);

KERNEL __launch_bounds__(256) rope(const RopeArgs a) {
    kernel_begins();
    u32 row = blockIdx.x;
    const float* cos_sins = a.table + (u64)a.positions[row] * a.half * 2;
    for (u32 i = threadIdx.x; i < a.heads * a.half; i += blockDim.x) {
        u32 pair = i % a.half;
        bf16* first = a.qkv + (u64)row * a.cols + i / a.half * a.half * 2 + pair;
        float x = f32_of(first[0]), y = f32_of(first[a.half]);
        float cos = cos_sins[2 * pair], sin = cos_sins[2 * pair + 1];
        first[0] = bf16_of(rotated_first(x, y, cos, sin));
        first[a.half] = bf16_of(rotated_second(x, y, cos, sin));
    }
}
