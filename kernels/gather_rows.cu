// Copies the rows whose logits are wanted. One block per row.
// Reference: crates/engine/src/cpu.rs
#include "include/step.h"

struct GatherRowsArgs {
    const bf16* x;
    // From the first wanted one on.
    const LogitRowMeta* logit_rows;
    bf16* out;
    u32 cols;
    u32 unused;
};
ASSERT_SIZE(GatherRowsArgs, 32);
ASSERT_OFFSET(GatherRowsArgs, cols, 24);

KERNEL __launch_bounds__(256) gather_rows(const GatherRowsArgs a) {
    kernel_begins();
    const bf16* from = a.x + (u64)a.logit_rows[blockIdx.x].row * a.cols;
    bf16* to = a.out + (u64)blockIdx.x * a.cols;
    for (u32 i = threadIdx.x; i < a.cols; i += blockDim.x) to[i] = from[i];
}
