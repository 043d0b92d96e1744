// Reference product: out = x W^T + b for any widths. Correct, not fast; the device's reference for `linear_mma`.
// Reference: crates/engine/src/cpu/product.rs
#include "include/linear.h"

// A block computes 16 rows x 32 outputs, 32 columns at a time; a thread two rows of one output.
KERNEL linear_reference(const LinearArgs a) {
    kernel_begins();
    __shared__ float x[16][33];
    __shared__ float w[32][33];
    u32 first_out = blockIdx.x * 32, first_row = blockIdx.y * 16;
    u32 lane = threadIdx.x % 32, group = threadIdx.x / 32;
    float sum[2] = {0.0f, 0.0f};
    for (u32 k = 0; k < a.cols; k += 32) {
        for (u32 i = group; i < 48; i += 8) {
            bool is_x = i < 16;
            u32 row = is_x ? first_row + i : first_out + i - 16;
            bool inside = k + lane < a.cols && row < (is_x ? a.rows : a.outs);
            float v = inside ? f32_of((is_x ? a.x : a.weight)[(u64)row * a.cols + k + lane]) : 0.0f;
            if (is_x) {
                x[i][lane] = v;
            } else {
                w[i - 16][lane] = v;
            }
        }
        __syncthreads();
        for (u32 i = 0; i < 32; ++i) {
            sum[0] = fmaf(x[group][i], w[lane][i], sum[0]);
            sum[1] = fmaf(x[group + 8][i], w[lane][i], sum[1]);
        }
        __syncthreads();
    }
    u32 out = first_out + lane;
    if (out >= a.outs) return;
    float bias = a.bias ? a.bias[out] : 0.0f;
    for (u32 i = 0; i < 2; ++i) {
        u32 row = first_row + group + 8 * i;
        if (row < a.rows) a.out[(u64)row * a.outs + out] = bf16_of(sum[i] + bias);
    }
}
