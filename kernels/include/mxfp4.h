// MXFP4: 32 four-bit floats (sign, two bits of exponent, one of mantissa) that share a power of two. The low nibble of a
// byte is the element with the even index (gpt_oss/torch/weights.py).
//
// On the device the bits of a group are in another order (`mxfp4_repack`), the same 16 bytes: word t has the columns 8 i + 2 t
// in its lower half and the columns after them in its upper one, i from 0 to 3, so that it is what lane t of four needs of a
// row for the tensor cores. Within a half the nibbles lie so that three of the four pairs are one shift and one mask away from
// the sign and the places of a bf16's lowest exponent bits and highest mantissa bit, and the fourth is what is left:
//
//     bit     15   14   13   12   11   10   9    8 7 6   5 4 3   2 1 0
//     pair    0 s  3 s  3 e  1 s  3 e  3 m  2 s  0 eem   1 eem   2 eem
#pragma once
#include "common.h"

// Where in its half of a word the nibble of pair `i` goes. `i` is a compile-time constant where speed counts.
DEVICE u32 mxfp4_placed(u32 nibble, u32 i) {
    u32 sign = nibble >> 3 & 1u, value = nibble & 7u;
    if (i < 3) return sign << (15 - 3 * i) | value << (6 - 3 * i);
    return sign << 14 | (value >> 2) << 13 | (value & 3u) << 10;
}

// The nibble of column `col` (0 .. 31) of a group.
DEVICE u32 mxfp4_nibble(const u8* group, u32 col) {
    const u8* at = group + col / 2 % 4 * 4 + col % 2 * 2;
    u32 half = at[0] | (u32)at[1] << 8, i = col / 8;
    if (i < 3) return (half >> (15 - 3 * i) & 1u) << 3 | (half >> (6 - 3 * i) & 7u);
    return (half >> 14 & 1u) << 3 | (half >> 13 & 1u) << 2 | (half >> 10 & 3u);
}

// 2^(scale - 127); 255 gives infinity, so that a damaged scale shows up in the logits.
DEVICE float mxfp4_power(u8 scale) { return scale ? __uint_as_float((u32)scale << 23) : __uint_as_float(1u << 22); }

DEVICE float mxfp4_value(u32 nibble) {
    u32 magnitude = nibble & 7u;
    // 0, 0.5, then (1 + m / 2) * 2^(e - 1).
    float value = magnitude < 2 ? 0.5f * (float)magnitude : __uint_as_float(((magnitude >> 1) + 126u) << 23 | (magnitude & 1u) << 22);
    return nibble & 8u ? -value : value;
}

// 2^(scale - 1) twice. A nibble's three low bits, moved to the lowest exponent and the highest mantissa bit of a bf16, are its
// value times 2^-126, zero and 0.5 (a subnormal) included; one multiplication by this makes it exact. Scales of at most 128.
DEVICE u32 mxfp4_scale(u32 scale) { return scale * 0x00800080u + 0x3f003f00u; }

// Columns 8 i + 2 t and the next of word t, as bf16 times 2^-126. `i` is a compile-time constant.
DEVICE u32 mxfp4_pair(u32 word, int i) {
    if (i < 3) return word << (3 * i) & 0x81c081c0u;
    return (word << 1 & 0x80008000u) | (word >> 5 & 0x01000100u) | (word >> 4 & 0x00c000c0u);
}
