// What every kernel uses: number formats, warp and block reductions. No CUDA header is needed, so that the same text
// compiles under nvcc, under NVRTC, and as C++ for the emulator (kernels/emulator).
#pragma once

#ifdef OSSMARK_EMULATED
#include "emulator/emulation.h"
#else
#define DYNAMIC_SHARED(name) extern __shared__ __align__(1024) unsigned char name[]
#endif

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
// The bits of a bfloat16.
typedef u16 bf16;

#define KERNEL extern "C" __global__ void
#define DEVICE __device__ __forceinline__

// Programmatic dependent launch (sm_90 and later): the next kernel's blocks are put on multiprocessors while this one's are
// still at work, so that its start costs no time. A kernel therefore begins with both of these calls, in every thread and
// before any other access but to weights: what the kernels before it wrote is there after the second, and since each kernel
// waits for the one ahead of it, everything earlier is, too. Without such a launch both do nothing.
DEVICE void next_may_start() {
#if !defined(OSSMARK_EMULATED) && defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" : : : "memory");
#endif
}
DEVICE void wait_for_previous() {
#ifdef OSSMARK_EMULATED
    emulator::waited_for_previous();
#elif defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" : : : "memory");
#endif
}
DEVICE void kernel_begins() {
    next_may_start();
    wait_for_previous();
}

// The host mirrors every argument structure; both sides assert the same numbers.
#define ASSERT_SIZE(type, bytes) static_assert(sizeof(type) == bytes, "differs from the structure in crates/engine/src/cuda")
#ifdef __CUDACC_RTC__  // has no offsetof; the same text is checked under nvcc and under the emulator's compiler
#define ASSERT_OFFSET(type, field, bytes) static_assert(true, "")
#else
#define ASSERT_OFFSET(type, field, bytes) \
    static_assert(__builtin_offsetof(type, field) == bytes, "differs from the structure in crates/engine/src/cuda")
#endif

DEVICE float f32_of(bf16 x) { return __uint_as_float((u32)x << 16); }

// Rounds to nearest even, as every result in a buffer is.
DEVICE bf16 bf16_of(float x) {
#ifdef OSSMARK_EMULATED
    u32 bits = __float_as_uint(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
    return (bf16)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
#else
    bf16 out;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(out) : "f"(x));
    return out;
#endif
}

// Two bf16 of one word: the low half is the element with the lower index.
DEVICE float low_of(u32 pair) { return __uint_as_float(pair << 16); }
DEVICE float high_of(u32 pair) { return __uint_as_float(pair & 0xffff0000u); }
DEVICE u32 pair_of(float low, float high) { return (u32)bf16_of(low) | ((u32)bf16_of(high) << 16); }

// Sixteen bytes, the widest load there is.
struct __align__(16) Vec16 {
    u32 w[4];
};

// Of what kernels of this step write; not `ld.global.nc`, which is for what nobody writes while the kernel is there, and it
// may be there before the one ahead of it has ended.
DEVICE Vec16 load16(const void* p) {
    Vec16 v;
#ifdef OSSMARK_EMULATED
    emulated_load16(v.w, p);
#else
    asm volatile("ld.global.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.w[0]), "=r"(v.w[1]), "=r"(v.w[2]), "=r"(v.w[3])
                 : "l"(p));
#endif
    return v;
}

struct __align__(8) Vec8 {
    u32 w[2];
};

DEVICE Vec8 load8(const void* p) {
    Vec8 v;
#ifdef OSSMARK_EMULATED
    emulated_load8(v.w, p);
#else
    asm volatile("ld.global.v2.u32 {%0, %1}, [%2];" : "=r"(v.w[0]), "=r"(v.w[1]) : "l"(p));
#endif
    return v;
}

// Past the first-level cache, which may have what was there before another multiprocessor wrote it.
DEVICE float load_written(const float* p) {
#ifdef OSSMARK_EMULATED
    return *p;
#else
    float v;
    asm volatile("ld.global.cg.f32 %0, [%1];" : "=f"(v) : "l"(p));
    return v;
#endif
}

DEVICE u32 load4(const void* p) {
    u32 v;
#ifdef OSSMARK_EMULATED
    emulated_aligned(p, 4);
    v = *(const u32*)p;
#else
    asm volatile("ld.global.u32 %0, [%1];" : "=r"(v) : "l"(p));
#endif
    return v;
}

// The same into `v` where `wanted`, which is left as it is elsewhere: without a branch, what is loaded can stay in its registers
// until it is used, a turn later.
DEVICE void load16_if(Vec16& v, const void* p, bool wanted) {
#ifdef OSSMARK_EMULATED
    if (wanted) emulated_load16(v.w, p);
#else
    asm volatile("{\n.reg .pred wanted;\nsetp.ne.u32 wanted, %5, 0;\n@wanted ld.global.v4.u32 {%0, %1, %2, %3}, [%4];\n}"
                 : "+r"(v.w[0]), "+r"(v.w[1]), "+r"(v.w[2]), "+r"(v.w[3])
                 : "l"(p), "r"((u32)wanted));
#endif
}
DEVICE void load8_if(Vec8& v, const void* p, bool wanted) {
#ifdef OSSMARK_EMULATED
    if (wanted) emulated_load8(v.w, p);
#else
    asm volatile("{\n.reg .pred wanted;\nsetp.ne.u32 wanted, %3, 0;\n@wanted ld.global.v2.u32 {%0, %1}, [%2];\n}"
                 : "+r"(v.w[0]), "+r"(v.w[1])
                 : "l"(p), "r"((u32)wanted));
#endif
}

// Weights are read once a step: they should not push activations out of the first-level cache.
DEVICE Vec16 load16_once(const void* p) {
    Vec16 v;
#ifdef OSSMARK_EMULATED
    emulated_load16(v.w, p);
#else
    asm volatile("ld.global.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.w[0]), "=r"(v.w[1]), "=r"(v.w[2]), "=r"(v.w[3])
                 : "l"(p));
#endif
    return v;
}

// The same number, which the compiler does not know any more how to compute anew: kept in a register in a loop.
DEVICE u32 kept(u32 v) {
#ifndef OSSMARK_EMULATED
    asm volatile("" : "+r"(v));
#endif
    return v;
}

const u32 ALL_LANES = 0xffffffffu;

DEVICE float warp_sum(float v) {
    for (int lane = 16; lane > 0; lane >>= 1) v += __shfl_xor_sync(ALL_LANES, v, lane);
    return v;
}

DEVICE float warp_max(float v) {
    for (int lane = 16; lane > 0; lane >>= 1) v = fmaxf(v, __shfl_xor_sync(ALL_LANES, v, lane));
    return v;
}

// Sum over a block of whole warps, known to all its threads; `scratch` holds a float per warp. The order depends on the
// block's size alone.
DEVICE float block_sum(float v, float* scratch) {
    v = warp_sum(v);
    __syncthreads();
    if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = v;
    __syncthreads();
    float sum = 0.0f;
    for (u32 warp = 0; warp < blockDim.x / 32; ++warp) sum += scratch[warp];
    return sum;
}

DEVICE float block_max(float v, float* scratch) {
    v = warp_max(v);
    __syncthreads();
    if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = v;
    __syncthreads();
    float max = scratch[0];
    for (u32 warp = 1; warp < blockDim.x / 32; ++warp) max = fmaxf(max, scratch[warp]);
    return max;
}

// In one instruction each, within 2^-22 of the right result: 2^x, zero below 2^-126; and 1 / x.
DEVICE float fast_exp2(float x) {
#ifdef OSSMARK_EMULATED
    return exp2f(x);
#else
    float out;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(out) : "f"(x));
    return out;
#endif
}
DEVICE float fast_reciprocal(float x) {
#ifdef OSSMARK_EMULATED
    return 1.0f / x;
#else
    float out;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(out) : "f"(x));
    return out;
#endif
}

DEVICE u32 min_u32(u32 a, u32 b) { return a < b ? a : b; }
DEVICE u32 ceil_div(u32 n, u32 size) { return (n + size - 1) / size; }
