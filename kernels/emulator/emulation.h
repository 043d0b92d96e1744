// CUDA's language as plain C++, so that the kernels' text can be checked where there is no GPU. Tests only.
//
// A block's threads are fibers of one OS thread: each runs until a barrier. The order of the fibers changes with every
// launch, so that a missing barrier shows as a changing result. Addresses are host addresses. What this cannot show: the
// memory model between blocks, alignment faults inside the hardware, and anything about speed.
#pragma once

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "asynchronous.h"

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(n) alignas(n)
// One block runs at a time.
#define __shared__ static
#define __restrict__
#define DYNAMIC_SHARED(name) unsigned char* name = emulator::dynamic_shared()

struct Index3 {
    uint32_t x, y, z;
};

namespace emulator {
struct Fiber;
extern Fiber* current;
Index3& thread_index();
unsigned char* dynamic_shared();
void block_barrier();
void warp_barrier();
// Gives each lane's `words` words of the calling warp: lane l's are at `[l * 16]`. Valid until the next but one exchange.
const uint32_t* warp_exchange(const uint32_t* mine, int words);
uint32_t lane();
// The thread has waited for the kernels before its own; one that ends without it ends the program.
void waited_for_previous();
// Of the block.
uint32_t thread_number();
}  // namespace emulator

extern Index3 blockIdx, blockDim, gridDim;
#define threadIdx (emulator::thread_index())

static inline uint32_t __float_as_uint(float x) {
    uint32_t u;
    memcpy(&u, &x, 4);
    return u;
}
static inline float __uint_as_float(uint32_t u) {
    float x;
    memcpy(&x, &u, 4);
    return x;
}

static inline void __syncthreads() { emulator::block_barrier(); }
static inline void __threadfence() {}
static inline void __syncwarp() { emulator::warp_barrier(); }

template <typename T>
static inline T emulated_shuffle(T v, uint32_t from) {
    static_assert(sizeof(T) == 4, "shuffles move words");
    uint32_t word;
    memcpy(&word, &v, 4);
    word = emulator::warp_exchange(&word, 1)[(from % 32) * 16];
    memcpy(&v, &word, 4);
    return v;
}
template <typename T>
static inline T __shfl_sync(uint32_t, T v, uint32_t from) {
    return emulated_shuffle(v, from);
}
template <typename T>
static inline T __shfl_xor_sync(uint32_t, T v, uint32_t mask) {
    return emulated_shuffle(v, emulator::lane() ^ mask);
}

// Lanes with the same value. All lanes call it.
static inline uint32_t __match_any_sync(uint32_t, uint32_t v) {
    const uint32_t* all = emulator::warp_exchange(&v, 1);
    uint32_t same = 0;
    for (uint32_t l = 0; l < 32; ++l) same |= (uint32_t)(all[l * 16] == v) << l;
    return same;
}
static inline uint32_t __ballot_sync(uint32_t, bool v) {
    uint32_t mine = v, with = 0;
    const uint32_t* all = emulator::warp_exchange(&mine, 1);
    for (uint32_t l = 0; l < 32; ++l) with |= all[l * 16] << l;
    return with;
}
static inline int __ffs(int v) { return __builtin_ffs(v); }
static inline int __clz(int v) { return v ? __builtin_clz((unsigned)v) : 32; }
static inline uint32_t __popc(uint32_t v) { return (uint32_t)__builtin_popcount(v); }

static inline uint32_t atomicAdd(uint32_t* p, uint32_t v) {
    uint32_t old = *p;
    *p += v;
    return old;
}
static inline uint32_t atomicMin(uint32_t* p, uint32_t v) {
    uint32_t old = *p;
    if (v < old) *p = v;
    return old;
}
static inline unsigned long long atomicMax(unsigned long long* p, unsigned long long v) {
    unsigned long long old = *p;
    if (v > old) *p = v;
    return old;
}

// The hardware faults on an address that is not a multiple of the width.
static inline void emulated_aligned(const void* p, uintptr_t width) {
    if ((uintptr_t)p % width != 0) {
        fprintf(stderr, "emulator: an access of %d bytes at %p, which is not a multiple of it\n", (int)width, p);
        abort();
    }
}
static inline void emulated_load8(uint32_t* words, const void* p) {
    emulated_aligned(p, 8);
    memcpy(words, p, 8);
}
static inline void emulated_load16(uint32_t* words, const void* p) {
    emulated_aligned(p, 16);
    memcpy(words, p, 16);
}
