// MXFP4: 32 four-bit floats (sign, two bits of exponent, one of mantissa) that share a power of two. The low nibble of a
// byte is the element with the even index (gpt_oss/torch/weights.py).
//
// On the device the nibbles of a group are in another order (`mxfp4_repack`), the same 16 bytes: nibble i of word t is column
// 8 i + 2 t, nibble i + 4 the column after it. So word t is what lane t of four needs of a row for the tensor cores, and the
// two columns of a register become bf16 by the same shifts.
#pragma once
#include "common.h"

// The nibble of column `col` (0 .. 31) of a group.
DEVICE u32 mxfp4_nibble(const u8* group, u32 col) {
    u32 byte = group[col / 2 % 4 * 4 + col % 2 * 2 + col / 16];
    return col / 8 % 2 ? byte >> 4 : byte & 15u;
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
    u32 sign = word << (12 - 4 * i), value = i < 2 ? word << (6 - 4 * i) : word >> (4 * i - 6);
    return (sign & 0x80008000u) | (value & 0x01c001c0u);
}
