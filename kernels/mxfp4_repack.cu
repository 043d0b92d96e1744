// Puts the nibbles of MXFP4 groups into the order in which the experts' kernels take them (include/mxfp4.h), in place. Once,
// when a matrix has been loaded.
// Reference: crates/engine/src/mxfp4.rs
// SASS: LDG.E.128 STG.E.128
#include "include/mxfp4.h"

struct RepackArgs {
    // 16 bytes each.
    u8* groups;
    u64 n;
};
ASSERT_SIZE(RepackArgs, 16);

// Byte t of a word is columns 2 t and 2 t + 1 of its eight.
KERNEL __launch_bounds__(256) mxfp4_repack(const RepackArgs a) {
    kernel_begins();
    for (u64 at = blockIdx.x * (u64)blockDim.x + threadIdx.x; at < a.n; at += (u64)gridDim.x * blockDim.x) {
        Vec16 shipped = *(const Vec16*)(a.groups + at * 16), packed;
#pragma unroll
        for (int t = 0; t < 4; ++t) {
            packed.w[t] = 0;
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                u32 byte = shipped.w[i] >> (8 * t) & 0xffu;
                packed.w[t] |= mxfp4_placed(byte & 15u, i) | mxfp4_placed(byte >> 4, i) << 16;
            }
        }
        *(Vec16*)(a.groups + at * 16) = packed;
    }
}
