// The residual stream: RMSNorm, addition, and both at once, on rows of whole groups of eight elements. Bandwidth-bound;
// one block per row.
// Reference: crates/engine/src/cpu/pointwise.rs
#include "include/common.h"

struct RmsnormArgs {
    bf16* x;
    const bf16* delta;
    const float* weight;
    bf16* out;
    u32 cols;
    float eps;
};
ASSERT_SIZE(RmsnormArgs, 40);
ASSERT_OFFSET(RmsnormArgs, cols, 32);

// `x += delta` for eight elements, rounded; gives the rounded sum.
DEVICE Vec16 add8(Vec16 x, Vec16 delta) {
    for (int i = 0; i < 4; ++i) {
        x.w[i] = pair_of(low_of(x.w[i]) + low_of(delta.w[i]), high_of(x.w[i]) + high_of(delta.w[i]));
    }
    return x;
}

// Groups of eight elements that a thread has at most; blocks are as large as it takes (crates/engine/src/cuda/rmsnorm.rs).
const int PIECES = 2;

// A row is read once and kept in registers.
template <bool ADD>
DEVICE void norm_row(const RmsnormArgs& a) {
    __shared__ float scratch[32];
    const Vec16 nothing = {{0, 0, 0, 0}};
    Vec16 v[PIECES], weights[PIECES][2];
    u32 at[PIECES];
    u64 row = (u64)blockIdx.x * a.cols;
    next_may_start();
    // Weights are there before any kernel of the step.
#pragma unroll
    for (int i = 0; i < PIECES; ++i) {
        at[i] = (threadIdx.x + i * blockDim.x) * 8;
#pragma unroll
        for (int half = 0; half < 2; ++half) weights[i][half] = at[i] < a.cols ? load16(a.weight + at[i] + 4 * half) : nothing;
    }
    wait_for_previous();
    float squares = 0.0f;
#pragma unroll
    for (int i = 0; i < PIECES; ++i) {
        v[i] = nothing;
        if (at[i] >= a.cols) continue;
        v[i] = load16(a.x + row + at[i]);
        if (ADD) {
            v[i] = add8(v[i], load16(a.delta + row + at[i]));
            *(Vec16*)(a.x + row + at[i]) = v[i];
        }
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            squares = fmaf(low_of(v[i].w[j]), low_of(v[i].w[j]), squares);
            squares = fmaf(high_of(v[i].w[j]), high_of(v[i].w[j]), squares);
        }
    }
    float scale = 1.0f / sqrtf(block_sum(squares, scratch) / (float)a.cols + a.eps);
#pragma unroll
    for (int i = 0; i < PIECES; ++i) {
        if (at[i] >= a.cols) continue;
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            float low = __uint_as_float(weights[i][j / 2].w[j % 2 * 2]), high = __uint_as_float(weights[i][j / 2].w[j % 2 * 2 + 1]);
            v[i].w[j] = pair_of(low_of(v[i].w[j]) * scale * low, high_of(v[i].w[j]) * scale * high);
        }
        *(Vec16*)(a.out + row + at[i]) = v[i];
    }
}

KERNEL __launch_bounds__(1024) rmsnorm(const RmsnormArgs a) { norm_row<false>(a); }

KERNEL __launch_bounds__(1024) add_rmsnorm(const RmsnormArgs a) { norm_row<true>(a); }

KERNEL __launch_bounds__(256) add(const RmsnormArgs a) {
    kernel_begins();
    u64 row = (u64)blockIdx.x * a.cols;
    for (u32 i = threadIdx.x * 8; i < a.cols; i += blockDim.x * 8) {
        *(Vec16*)(a.x + row + i) = add8(load16(a.x + row + i), load16(a.delta + row + i));
    }
}
