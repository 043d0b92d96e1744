// Dense product for few rows a step (decode, and the head): out = x W^T + b. Bandwidth-bound: each weight is read once for
// 16 rows of x.
// Reference: crates/engine/src/cpu/product.rs
// SASS: HMMA.16816.F32.BF16 LDG.E.128 LDG.E.NA.128
#include "include/linear_mma.h"

KERNEL __launch_bounds__(256, 2) linear_mma(const LinearArgs a) {
    __shared__ float shared[LINEAR_WARPS * 16 * 32];
    next_may_start();
    if (a.rows - blockIdx.y * 16 <= 8) {
        linear_tile<1>(a, shared);
    } else {
        linear_tile<2>(a, shared);
    }
}
