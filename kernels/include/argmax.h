// The largest of a row's logits without storing them: each block brings its own, and the largest key stays.
#pragma once
#include "linear.h"

// What `draft_argmax` works on: `out` of the product is not used.
struct ArgmaxArgs {
    LinearArgs linear;
    // One a row; 0 before the first block.
    u64* keys;
};
ASSERT_SIZE(ArgmaxArgs, 56);

// Of a logit that is not finite: above all others.
const u64 BAD_KEY = ~(u64)0;

// Ordered as the logits are, rounded as they would be stored; of equals the lowest id has the largest key. Never 0.
DEVICE u64 key_of(float logit, u32 id) {
    float rounded = f32_of(bf16_of(logit));
    if (!(fabsf(rounded) <= 3.4e38f)) return BAD_KEY;
    // Both zeros are one.
    u32 bits = rounded == 0.0f ? 0 : __float_as_uint(rounded);
    u32 ordered = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return (u64)ordered << 32 | (0xffffffffu - id);
}

DEVICE u64 larger(u64 a, u64 b) { return a > b ? a : b; }

// The larger of this lane's key and that of the lane whose number differs by `mask`.
DEVICE u64 larger_across(u64 key, u32 mask) {
    u32 low = __shfl_xor_sync(ALL_LANES, (u32)key, mask), high = __shfl_xor_sync(ALL_LANES, (u32)(key >> 32), mask);
    return larger(key, (u64)high << 32 | low);
}

// Most blocks find a larger one there already. What is read may be older than what is there, never larger.
DEVICE void keep_larger(u64* at, u64 key) {
    if (key > *(volatile u64*)at) atomicMax(at, key);
}
