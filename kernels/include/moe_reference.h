// The reference product of a tile of sorted rows with 32 rows of an expert's matrix.
#pragma once
#include "moe.h"

struct MoeReferenceShared {
    float x[16][33];
    float w[32][33];
};

// A block of 256 threads: thread `32 group + lane` gets the sums of rows `group` and `group + 8` with matrix row
// `first_out + lane`. `x_of(tile_row)` is a row's activations; tiles have at most 16 rows.
template <typename X>
DEVICE void moe_reference_product(const MoeArgs& a, Tile tile, u32 first_out, X x_of, MoeReferenceShared& s, float sum[2]) {
    u32 lane = threadIdx.x % 32, group = threadIdx.x / 32, groups = a.cols / 32;
    sum[0] = sum[1] = 0.0f;
    for (u32 g = 0; g < groups; ++g) {
        for (u32 i = group; i < 48; i += 8) {
            if (i < 16) {
                s.x[i][lane] = i < tile.rows ? f32_of(x_of(i)[g * 32 + lane]) : 0.0f;
            } else {
                u32 out = first_out + i - 16;
                float v = 0.0f;
                if (out < a.outs) {
                    u32 col = g * 32 + lane;
                    u64 at = mxfp4_square(tile.expert, a.outs, a.cols, out / MXFP4_SIDE, col / MXFP4_SIDE);
                    u32 word = *(const u32*)(a.blocks + at * MXFP4_WORDS + mxfp4_word_at(out, col));
                    v = mxfp4_value(mxfp4_nibble(word, col)) * mxfp4_power(a.scales[at * MXFP4_SCALES + mxfp4_scale_at(out, col)]);
                }
                s.w[i - 16][lane] = v;
            }
        }
        __syncthreads();
        for (u32 i = 0; i < 32; ++i) {
            sum[0] = fmaf(s.x[group][i], s.w[lane][i], sum[0]);
            sum[1] = fmaf(s.x[group + 8][i], s.w[lane][i], sum[1]);
        }
        __syncthreads();
    }
}
