// The tensor cores through `mma.sync` (sm_80 and later): a warp multiplies 16 x 16 by 16 x 8.
//
// With g = lane / 4 and t = lane % 4, a lane holds of A rows g and g + 8, of B column g, and of the sums rows g and g + 8 in
// columns 2t and 2t + 1 (PTX ISA, "Matrix Fragments for mma.m16n8k16"). Which element of a row counts as which k is free,
// as long as A and B agree.
#pragma once
#include "common.h"
#include "f16.h"

#ifdef OSSMARK_EMULATED
// `low` and `high` give the numbers of a word's halves.
DEVICE void emulated_mma(float sums[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1, float (*low)(u32), float (*high)(u32)) {
    u32 mine[6] = {a0, a1, a2, a3, b0, b1};
    const u32* all = emulator::warp_exchange(mine, 6);
    u32 g = emulator::lane() / 4, t = emulator::lane() % 4;
    for (u32 i = 0; i < 4; ++i) {
        u32 row = g + i / 2 * 8, col = 2 * t + i % 2;
        double sum = sums[i];
        for (u32 k = 0; k < 16; ++k) {
            u32 a = all[(row % 8 * 4 + k % 8 / 2) * 16 + row / 8 + k / 8 * 2];
            u32 b = all[(col * 4 + k % 8 / 2) * 16 + 4 + k / 8];
            sum += k % 2 ? (double)high(a) * (double)high(b) : (double)low(a) * (double)low(b);
        }
        sums[i] = (float)sum;
    }
}
DEVICE float emulated_low_f16(u32 pair) { return emulated_f32(pair & 0xffffu); }
DEVICE float emulated_high_f16(u32 pair) { return emulated_f32(pair >> 16); }
#endif

// sums[0], [1]: row g, columns 2t, 2t + 1; sums[2], [3]: row g + 8. a[0], a[2]: row g; a[1], a[3]: row g + 8; a[2], a[3] and
// b[1] are the upper eight k. Each word holds two k, the lower in its low half.
DEVICE void mma_bf16(float sums[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
#ifdef OSSMARK_EMULATED
    emulated_mma(sums, a0, a1, a2, a3, b0, b1, low_of, high_of);
#else
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
#endif
}

// The same for elements in f16.
DEVICE void mma_f16(float sums[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
#ifdef OSSMARK_EMULATED
    emulated_mma(sums, a0, a1, a2, a3, b0, b1, emulated_low_f16, emulated_high_f16);
#else
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
#endif
}

// Products of two pairs of bf16, subnormals kept.
DEVICE u32 multiply2(u32 a, u32 b) {
#ifdef OSSMARK_EMULATED
    return pair_of(low_of(a) * low_of(b), high_of(a) * high_of(b));
#else
    u32 out;
    // Minus zero, so that a negative zero keeps its sign.
    asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(out) : "r"(a), "r"(b), "r"(0x80008000u));
    return out;
#endif
}

// The same with both pairs times one number, the half `HIGH` of `b`.
template <bool HIGH>
DEVICE u32 multiply2_by(u32 a, u32 b) {
#ifdef OSSMARK_EMULATED
    return multiply2(a, HIGH ? (b >> 16) * 0x10001u : (b & 0xffffu) * 0x10001u);
#else
    u32 out;
    if (HIGH) {
        asm("{\n.reg .b16 l, h;\n.reg .b32 d;\nmov.b32 {l, h}, %2;\nmov.b32 d, {h, h};\nfma.rn.bf16x2 %0, %1, d, %3;\n}" : "=r"(out) : "r"(a), "r"(b), "r"(0x80008000u));
    } else {
        asm("{\n.reg .b16 l, h;\n.reg .b32 d;\nmov.b32 {l, h}, %2;\nmov.b32 d, {l, l};\nfma.rn.bf16x2 %0, %1, d, %3;\n}" : "=r"(out) : "r"(a), "r"(b), "r"(0x80008000u));
    }
    return out;
#endif
}

// Halves of two words: the low halves, or the high ones.
DEVICE u32 low_halves(u32 a, u32 b) {
#ifdef OSSMARK_EMULATED
    return (a & 0xffffu) | (b << 16);
#else
    return __byte_perm(a, b, 0x5410);
#endif
}
DEVICE u32 high_halves(u32 a, u32 b) {
#ifdef OSSMARK_EMULATED
    return (a >> 16) | (b & 0xffff0000u);
#else
    return __byte_perm(a, b, 0x7632);
#endif
}

// Bytes of two words in turn, the first's first: of their low halves, or of the high ones.
DEVICE u32 low_bytes(u32 a, u32 b) {
#ifdef OSSMARK_EMULATED
    return (a & 0xffu) | (b & 0xffu) << 8 | (a >> 8 & 0xffu) << 16 | (b >> 8 & 0xffu) << 24;
#else
    return __byte_perm(a, b, 0x5140);
#endif
}
DEVICE u32 high_bytes(u32 a, u32 b) {
#ifdef OSSMARK_EMULATED
    return low_bytes(a >> 16, b >> 16);
#else
    return __byte_perm(a, b, 0x7362);
#endif
}

// Two neighbouring bytes of a word, one in each half; `first` is a compile-time constant.
DEVICE u32 two_bytes(u32 word, int first) {
#ifdef OSSMARK_EMULATED
    return (word >> (8 * first) & 0xffu) | (word >> (8 * first + 8) & 0xffu) << 16;
#else
    return __byte_perm(word, 0, first ? 0x4342 : 0x4140);
#endif
}

// Four 8 x 8 tiles of bf16 from shared memory (`ldmatrix`): lane 8 i + r gives the shared address of row r of tile i, 16
// bytes. Of tile i, out[i] is row g, columns 2t and 2t + 1; transposed: rows 2t and 2t + 1 of column g.
template <bool TRANSPOSED>
DEVICE void load_tiles(u32 out[4], u32 address) {
#ifdef OSSMARK_EMULATED
    const u32* all = emulator::warp_exchange(&address, 1);
    u32 rows[32], g = emulator::lane() / 4, t = emulator::lane() % 4;
    for (u32 l = 0; l < 32; ++l) rows[l] = all[l * 16];
    for (u32 i = 0; i < 4; ++i) {
        for (u32 e = 0; e < 2; ++e) {
            u32 row = TRANSPOSED ? 2 * t + e : g, col = TRANSPOSED ? g : 2 * t + e;
            u16 bits = *(const u16*)(emulator::tile_row(rows[8 * i + row]) + 2 * col);
            out[i] = e ? out[i] | (u32)bits << 16 : bits;
        }
    }
#else
    if (TRANSPOSED) {
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                     : "r"(address)
                     : "memory");
    } else {
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                     : "r"(address)
                     : "memory");
    }
#endif
}
