// The reference product's sums, for any widths: a block computes 16 rows x 32 outputs, 32 columns at a time; a thread two rows of
// one output.
#pragma once
#include "linear.h"

// Rows `threadIdx.x / 32` and eight on, output `threadIdx.x % 32` of the block's. 256 threads.
DEVICE void reference_sums(const LinearArgs& a, u32 first_out, u32 first_row, float (&sum)[2]) {
    __shared__ float x[16][33];
    __shared__ float w[32][33];
    u32 lane = threadIdx.x % 32, group = threadIdx.x / 32;
    sum[0] = 0.0f;
    sum[1] = 0.0f;
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
}
