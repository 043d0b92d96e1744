// f16 (IEEE 754 binary16), for products with keys and values in e4m3: it holds every number of e4m3 exactly.
#pragma once
#include "fp8.h"

#ifdef OSSMARK_EMULATED
DEVICE u32 emulated_f16(float x) {
    u32 bits = __float_as_uint(x), sign = bits >> 16 & 0x8000u;
    bits &= 0x7fffffffu;
    if (bits > 0x7f800000u) return sign | 0x7fffu;
    if (bits >= 0x477ff000u) return sign | 0x7c00u;
    // Below 2^-14, multiples of 2^-24: the step of f32 numbers from 0.5 on.
    if (bits < 0x38800000u) return sign | (__float_as_uint(__uint_as_float(bits) + 0.5f) - 0x3f000000u);
    return sign | (((bits + 0xfffu + (bits >> 13 & 1u)) >> 13) - (112u << 10));
}
DEVICE float emulated_f32(u32 half) {
    u32 sign = (half & 0x8000u) << 16, size = half & 0x7fffu;
    // Exponents differ by 112; the product is exact for subnormals too.
    u32 bits = size >= 0x7c00u ? 0x7f800000u | size << 13 : __float_as_uint(__uint_as_float(size << 13) * 5.192296858534828e33f);
    return __uint_as_float(sign | bits);
}
#endif

// Two numbers rounded to f16 in one word, the first in its low half.
DEVICE u32 f16_pair_of(float low, float high) {
#ifdef OSSMARK_EMULATED
    return emulated_f16(low) | emulated_f16(high) << 16;
#else
    u32 out;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(out) : "f"(high), "f"(low));
    return out;
#endif
}

// The two e4m3 of the low half of a word, exactly.
DEVICE u32 f16_of_e4m3(u32 two) {
#if E4M3_IN_HARDWARE
    u32 out;
    asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(out) : "h"((u16)two));
    return out;
#else
    float low, high;
    e4m3_pair(two, low, high);
    return f16_pair_of(low, high);
#endif
}
// The same for its high half, without a shift.
DEVICE u32 f16_of_high_e4m3(u32 four) {
#if E4M3_IN_HARDWARE
    u32 out;
    asm("{\n.reg .b16 low, high;\nmov.b32 {low, high}, %1;\ncvt.rn.f16x2.e4m3x2 %0, high;\n}" : "=r"(out) : "r"(four));
    return out;
#else
    return f16_of_e4m3(four >> 16);
#endif
}
