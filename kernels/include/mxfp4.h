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
//
// And the words of 64 rows and 64 columns lie as the lanes of the tensor cores' warps take them: [strip of 16 rows][lane][16
// bytes], where lane 4 g + t has word t of the first group of rows 2 g and 2 g + 1, then of their second group. Their scales,
// in the same order, are [g][strip][4 bytes]. Blocks of 64 rows are one after the other, and in each 64 columns after 64; what is
// not there is zero.
#pragma once
#include "common.h"

// Where in its half of a word the nibble of pair `i` goes. `i` is a compile-time constant where speed counts.
DEVICE u32 mxfp4_placed(u32 nibble, u32 i) {
    u32 sign = nibble >> 3 & 1u, value = nibble & 7u;
    if (i < 3) return sign << (15 - 3 * i) | value << (6 - 3 * i);
    return sign << 14 | (value >> 2) << 13 | (value & 3u) << 10;
}

// Rows and columns that lie together, and the bytes of their words and of their scales.
const u32 MXFP4_SIDE = 64;
const u32 MXFP4_WORDS = 2048;
const u32 MXFP4_SCALES = 128;

// How many such squares come before: times their bytes it is where one begins.
DEVICE u64 mxfp4_square(u32 expert, u32 outs, u32 cols, u32 row_block, u32 step) {
    return ((u64)expert * ceil_div(outs, MXFP4_SIDE) + row_block) * ceil_div(cols, MXFP4_SIDE) + step;
}

// Where in a square the word of a row's columns is that has column `col`, and the byte of scale.
DEVICE u32 mxfp4_word_at(u32 row, u32 col) {
    return row % 64 / 16 * 512 + (row % 16 / 2 * 4 + col % 8 / 2) * 16 + (col % 64 / 32 * 2 + row % 2) * 4;
}
DEVICE u32 mxfp4_scale_at(u32 row, u32 col) { return row % 16 / 2 * 16 + row % 64 / 16 * 4 + col % 64 / 32 * 2 + row % 2; }

// The nibble of a column in its word.
DEVICE u32 mxfp4_nibble(u32 word, u32 col) {
    u32 half = word >> (col % 2 * 16) & 0xffffu, i = col % 32 / 8;
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
