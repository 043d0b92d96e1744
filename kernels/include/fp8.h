// Keys and values in eight bits: e4m3 of the OCP 8-bit floating point specification (bias 7, no infinities, largest 448,
// NaN 0x7f). Architectures without the conversions, and the emulator, compute them.
#pragma once
#include "common.h"

#if !defined(OSSMARK_EMULATED) && defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
#define E4M3_IN_HARDWARE 1
#else
#define E4M3_IN_HARDWARE 0
#endif

// To nearest even; what is larger becomes 448; a NaN stays one.
DEVICE u32 e4m3_of(float x) {
#if E4M3_IN_HARDWARE
    u16 pair;
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(0.0f), "f"(x));
    return pair;
#else
    u32 bits = __float_as_uint(x), sign = bits >> 24 & 0x80u;
    bits &= 0x7fffffffu;
    if (bits > 0x7f800000u) return sign | 0x7fu;
    if (bits >= 0x43e00000u) return sign | 0x7eu;
    // Below 2^-6, multiples of 2^-9: the step of f32 numbers from 2^14 on.
    if (bits < 0x3c800000u) return sign | (__float_as_uint(__uint_as_float(bits) + 16384.0f) - 0x46800000u);
    return sign | (((bits + 0x7ffffu + (bits >> 20 & 1u)) >> 20) - (120u << 3));
#endif
}

// The two numbers of the low half of a word, exactly.
DEVICE void e4m3_pair(u32 two, float& low, float& high) {
#if E4M3_IN_HARDWARE
    asm("{\n.reg .b32 halves;\n.reg .b16 l, h;\ncvt.rn.f16x2.e4m3x2 halves, %2;\nmov.b32 {l, h}, halves;\n"
        "cvt.f32.f16 %0, l;\ncvt.f32.f16 %1, h;\n}"
        : "=f"(low), "=f"(high)
        : "h"((u16)two));
#else
    float out[2];
    for (int i = 0; i < 2; ++i) {
        u32 code = two >> (8 * i) & 0xffu, sign = (code & 0x80u) << 24, size = code & 0x7fu;
        // Exponents differ by 120; the product is exact for subnormals too.
        u32 bits = size == 0x7fu ? 0x7fc00000u : __float_as_uint(__uint_as_float(size << 20) * 1.329227995784916e36f);
        out[i] = __uint_as_float(sign | bits);
    }
    low = out[0];
    high = out[1];
#endif
}

DEVICE float f32_of_e4m3(u8 x) {
    float low, high;
    e4m3_pair(x, low, high);
    return low;
}
