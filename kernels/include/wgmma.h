// Hopper's tensor cores through `wgmma.mma_async` (sm_90a): four warps multiply 64 x 16 by 16 x N, in the background.
//
// Registers (PTX ISA, "Matrix Fragments for wgmma.mma_async.m64nNk16"; CUTLASS's ALayout_64x16 and CLayout_64xN): warp w of
// the four has rows 16 w .. 16 w + 15, and within them a lane's share is that of `mma_bf16` (mma.h): with g = lane / 4 and
// t = lane % 4, a[0] is row g, k 2t and 2t + 1; a[1] row g + 8; a[2], a[3] the same rows at k + 8. sums[4 j + i] is row
// g + i / 2 * 8, column 8 j + 2 t + i % 2.
//
// An operand in shared memory is named by a descriptor (PTX ISA, "Matrix Descriptor Format"; CUTLASS's GmmaDescriptor). Here
// always: rows of 64 bf16 (128 bytes), k along the row, eight rows after eight rows, 128-byte swizzle: chunk c (16 bytes) of
// row r is at chunk c ^ (r % 8). Tiles begin at multiples of 1,024 bytes; the next 16 k are 32 bytes on.
//
// Order: operands in shared memory were written by copies or stores that the writers have ended with
// `wgmma_operands_written` and a barrier; `wgmma_fence`, products, `wgmma_commit`, `wgmma_wait`. Between a product and its
// wait, its sums, its registers of A and its operands in shared memory are not to be touched.
#pragma once
#include "copy.h"

// Only sm_90a has it; on others the host never launches what uses it.
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define WGMMA_ASM(...) asm volatile(__VA_ARGS__)
#else
#define WGMMA_ASM(...) asm volatile("trap;")
#endif

const u32 WGMMA_TILE = 1024;
// Elements of a row of an operand, and bytes.
const u32 WGMMA_COLS = 64;
const u32 WGMMA_ROW = 128;

// Where 16 bytes of a tile are: columns 8 `chunk` .. of `row`.
DEVICE u32 wgmma_chunk(u32 row, u32 chunk) { return row * WGMMA_ROW + ((chunk ^ (row % 8)) * 16); }

// Of a tile at shared address `at`, its lower word; bits 16-29 (between chunks of a row) do not count under this swizzle. Add 2 for
// the next 16 k.
DEVICE u32 wgmma_descriptor_low(u32 at) { return at >> 4 | 1u << 16; }
DEVICE u64 wgmma_descriptor_of(u32 low) { return (u64)(1u << 30 | WGMMA_TILE >> 4) << 32 | low; }
DEVICE u64 wgmma_descriptor(u32 at) { return wgmma_descriptor_of(wgmma_descriptor_low(at)); }

// What this thread wrote to shared memory, or copied there and waited for, is visible to products after the next barrier.
DEVICE void wgmma_operands_written() {
#ifdef OSSMARK_EMULATED
    emulator::operands_written();
#else
    WGMMA_ASM("fence.proxy.async.shared::cta;" : : : "memory");
#endif
}

// Before the first product, and after registers that products use were written.
DEVICE void wgmma_fence() {
#ifdef OSSMARK_EMULATED
    emulator::wgmma_fence();
#else
    WGMMA_ASM("wgmma.fence.sync.aligned;" : : : "memory");
#endif
}

DEVICE void wgmma_commit() {
#ifdef OSSMARK_EMULATED
    emulator::wgmma_commit();
#else
    WGMMA_ASM("wgmma.commit_group.sync.aligned;" : : : "memory");
#endif
}

// Waits until at most the latest `PENDING` groups of products are under way.
template <int PENDING>
DEVICE void wgmma_wait() {
#ifdef OSSMARK_EMULATED
    emulator::wgmma_wait(PENDING);
#else
    WGMMA_ASM("wgmma.wait_group.sync.aligned %0;" : : "n"(PENDING) : "memory");
#endif
}

// After the last wait: keeps the compiler from using sums before it, which it does not know to depend on it.
template <int N>
DEVICE void wgmma_pin(float (&sums)[N]) {
#ifdef OSSMARK_EMULATED
    (void)sums;
#else
#pragma unroll
    for (int i = 0; i < N; ++i) asm volatile("" : "+f"(sums[i]) : : "memory");
#endif
}

// sums += a b, a in registers or in shared memory, b in shared memory. Only the first N / 2 sums count, so that products of
// several widths can share their registers.
template <int N>
struct Wgmma;

#ifdef OSSMARK_EMULATED

template <int N>
struct Wgmma {
    static void multiply(float* sums, const u32 (&a)[4], u64 b) { emulator::wgmma(N, sums, a, b); }
    static void multiply(float* sums, u64 a, u64 b) { emulator::wgmma(N, sums, a, b); }
};

#else

#define WGMMA_SUM8(i) \
    "+f"(sums[i]), "+f"(sums[i + 1]), "+f"(sums[i + 2]), "+f"(sums[i + 3]), "+f"(sums[i + 4]), "+f"(sums[i + 5]), "+f"(sums[i + 6]), "+f"(sums[i + 7])
#define WGMMA_SUM16(i) WGMMA_SUM8(i), WGMMA_SUM8(i + 8)
#define WGMMA_OUT16 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15"
#define WGMMA_OUT32 WGMMA_OUT16 ",%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define WGMMA_OUT48 WGMMA_OUT32 ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47"
#define WGMMA_OUT64 WGMMA_OUT48 ",%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define WGMMA_OUT80 WGMMA_OUT64 ",%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79"
// The last operands: add (not replace), signs of a and b, and neither transposed.
#define WGMMA_OF(n, count, a0, a1, a2, a3, a4, ...)                                                                        \
    template <>                                                                                                            \
    struct Wgmma<n> {                                                                                                      \
        DEVICE static void multiply(float* sums, const u32 (&a)[4], u64 b) {                                      \
            WGMMA_ASM("{ .reg .pred p; setp.ne.b32 p, 1, 0; wgmma.mma_async.sync.aligned.m64n" #n                          \
                      "k16.f32.bf16.bf16 {" WGMMA_OUT##count "}, {%" #a0 ",%" #a1 ",%" #a2 ",%" #a3 "}, %" #a4             \
                      ", p, 1, 1, 0; }"                                                                                    \
                      : __VA_ARGS__                                                                                        \
                      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));                                               \
        }                                                                                                                  \
        DEVICE static void multiply(float* sums, u64 a, u64 b) {                                                  \
            WGMMA_ASM("{ .reg .pred p; setp.ne.b32 p, 1, 0; wgmma.mma_async.sync.aligned.m64n" #n                          \
                      "k16.f32.bf16.bf16 {" WGMMA_OUT##count "}, %" #a0 ", %" #a1 ", p, 1, 1, 0, 0; }"                     \
                      : __VA_ARGS__                                                                                        \
                      : "l"(a), "l"(b));                                                                                   \
        }                                                                                                                  \
    };

WGMMA_OF(32, 16, 16, 17, 18, 19, 20, WGMMA_SUM16(0))
WGMMA_OF(64, 32, 32, 33, 34, 35, 36, WGMMA_SUM16(0), WGMMA_SUM16(16))
WGMMA_OF(96, 48, 48, 49, 50, 51, 52, WGMMA_SUM16(0), WGMMA_SUM16(16), WGMMA_SUM16(32))
WGMMA_OF(128, 64, 64, 65, 66, 67, 68, WGMMA_SUM16(0), WGMMA_SUM16(16), WGMMA_SUM16(32), WGMMA_SUM16(48))
WGMMA_OF(160, 80, 80, 81, 82, 83, 84, WGMMA_SUM16(0), WGMMA_SUM16(16), WGMMA_SUM16(32), WGMMA_SUM16(48), WGMMA_SUM16(64))

#endif
