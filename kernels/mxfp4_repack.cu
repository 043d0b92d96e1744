// Puts a matrix in MXFP4 into the order in which the experts' kernels take it (include/mxfp4.h). Once, when it has been loaded.
// Reference: crates/engine/src/mxfp4.rs
// SASS: LDG.E.128 STG.E.128
#include "include/mxfp4.h"

struct RepackArgs {
    // [expert][out][in / 32][16] and [expert][out][in / 32], as shipped.
    const u8* from_blocks;
    const u8* from_scales;
    u8* blocks;
    u8* scales;
    u32 experts;
    u32 outs;
    u32 cols;
    u32 unused;
};
ASSERT_SIZE(RepackArgs, 48);
ASSERT_OFFSET(RepackArgs, experts, 32);

// A block takes a square after the other, a thread one lane's 16 bytes of it and one byte of scale.
KERNEL __launch_bounds__(128) mxfp4_repack(const RepackArgs a) {
    kernel_begins();
    u32 row_blocks = ceil_div(a.outs, MXFP4_SIDE), steps = ceil_div(a.cols, MXFP4_SIDE), groups = a.cols / 32;
    u32 strip = threadIdx.x / 32, g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    for (u64 at = blockIdx.x; at < (u64)a.experts * row_blocks * steps; at += gridDim.x) {
        u32 step = at % steps, row_block = at / steps % row_blocks;
        u64 expert = at / steps / row_blocks;
        Vec16 packed;
        u8 scale = 0;
#pragma unroll
        for (u32 i = 0; i < 4; ++i) {
            u32 row = row_block * MXFP4_SIDE + strip * 16 + 2 * g + i % 2, group = 2 * step + i / 2;
            packed.w[i] = 0;
            if (row >= a.outs || group >= groups) continue;
            u64 from = (expert * a.outs + row) * groups + group;
            Vec16 shipped = load16(a.from_blocks + from * 16);
            // Byte t of a word is columns 2 t and 2 t + 1 of its eight.
#pragma unroll
            for (int j = 0; j < 4; ++j) {
                u32 byte = shipped.w[j] >> (8 * t) & 0xffu;
                packed.w[i] |= mxfp4_placed(byte & 15u, j) | mxfp4_placed(byte >> 4, j) << 16;
            }
            if (i == t) scale = a.from_scales[from];
        }
        *(Vec16*)(a.blocks + at * MXFP4_WORDS + threadIdx.x * 16) = packed;
        a.scales[at * MXFP4_SCALES + g * 16 + strip * 4 + t] = scale;
    }
}
