// Random weights made on the device, for measuring where no checkpoint is at hand: a number depends on its seed and index
// alone, and is the same that the host computes.
// Reference: crates/engine/src/weights/synthetic.rs
#include "include/common.h"

struct SyntheticArgs {
    void* out;
    u64 n;
    u32 seed;
    float middle;
    float spread;
    u32 unused;
};
ASSERT_SIZE(SyntheticArgs, 32);
ASSERT_OFFSET(SyntheticArgs, seed, 16);

// Chris Wellons' lowbias32 (public domain, github.com/skeeto/hash-prospector).
DEVICE u32 mixed(u32 x) {
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x *= 0x846ca68bu;
    return x ^ x >> 16;
}

DEVICE u32 random_word(u32 seed, u64 index) { return mixed((u32)index ^ mixed(seed ^ mixed((u32)(index >> 32)))); }

// bf16 numbers, evenly spread around the middle.
KERNEL __launch_bounds__(256) synthetic_bf16(const SyntheticArgs a) {
    kernel_begins();
    for (u64 i = blockIdx.x * (u64)blockDim.x + threadIdx.x; i < a.n; i += (u64)gridDim.x * blockDim.x) {
        float x = (float)(int)random_word(a.seed, i) * 4.656612873077393e-10f;
        ((bf16*)a.out)[i] = bf16_of(fmaf(x, a.spread, a.middle));
    }
}

// Bytes, four from a word.
KERNEL __launch_bounds__(256) synthetic_bytes(const SyntheticArgs a) {
    kernel_begins();
    for (u64 i = blockIdx.x * (u64)blockDim.x + threadIdx.x; i < a.n; i += (u64)gridDim.x * blockDim.x) {
        ((u8*)a.out)[i] = (u8)(random_word(a.seed, i / 4) >> (i % 4 * 8));
    }
}

// MXFP4 scales: `middle` or one more.
KERNEL __launch_bounds__(256) synthetic_scales(const SyntheticArgs a) {
    kernel_begins();
    for (u64 i = blockIdx.x * (u64)blockDim.x + threadIdx.x; i < a.n; i += (u64)gridDim.x * blockDim.x) {
        ((u8*)a.out)[i] = (u8)((u32)a.middle + (random_word(a.seed, i) & 1u));
    }
}
