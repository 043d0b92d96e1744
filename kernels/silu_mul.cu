// What a draft head's MLP does between its products: SiLU of the gate, times up. Bandwidth-bound.
// Reference: crates/engine/src/cpu/draft.rs
#include "include/common.h"

struct SiluMulArgs {
    // A row is all of gate, then all of up.
    const bf16* gate_up;
    bf16* out;
    u32 cols;
    u32 unused;
};
ASSERT_SIZE(SiluMulArgs, 24);
ASSERT_OFFSET(SiluMulArgs, cols, 16);

const u32 SILU_COLS = 1024;

// blockIdx.x is the part of the columns, blockIdx.y the row.
KERNEL __launch_bounds__(256) silu_mul(const SiluMulArgs a) {
    kernel_begins();
    const bf16* gate = a.gate_up + (u64)blockIdx.y * 2 * a.cols;
    u32 end = min_u32((blockIdx.x + 1) * SILU_COLS, a.cols);
    for (u32 i = blockIdx.x * SILU_COLS + threadIdx.x; i < end; i += blockDim.x) {
        float g = f32_of(gate[i]);
        a.out[(u64)blockIdx.y * a.cols + i] = bf16_of(g / (1.0f + expf(-g)) * f32_of(gate[a.cols + i]));
    }
}
