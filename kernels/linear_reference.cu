// Reference product: out = x W^T + b for any widths. Correct, not fast; the device's reference for `linear_mma`.
// Reference: crates/engine/src/cpu/product.rs
#include "include/linear_reference.h"

KERNEL __launch_bounds__(256) linear_reference(const LinearArgs a) {
    kernel_begins();
    u32 first_out = blockIdx.x * 32, first_row = blockIdx.y * 16;
    float sum[2];
    reference_sums(a, first_out, first_row, sum);
    u32 out = first_out + threadIdx.x % 32;
    if (out >= a.outs) return;
    float bias = a.bias ? a.bias[out] : 0.0f;
    for (u32 i = 0; i < 2; ++i) {
        u32 row = first_row + threadIdx.x / 32 + 8 * i;
        if (row < a.rows) a.out[(u64)row * a.outs + out] = bf16_of(sum[i] + bias);
    }
}
