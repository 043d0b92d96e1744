// What the kernels of kernels/ rely on or were counted with, and only a device can tell: `.ci/gpu pack` builds it, `.ci/gpu first`
// runs it, 3 seconds. A line for each fact: what was found, and what is expected or was assumed. Exit 1 when an expectation fails.
//
//   nvcc -O3 -std=c++17 -cudart static -gencode=arch=compute_90a,code=sm_90a -o gpu_probe benchmarks/gpu_probe.cu && ./gpu_probe
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static void must(cudaError_t e, const char* what) {
    if (e == cudaSuccess) return;
    printf("%s failed: %s\n", what, cudaGetErrorString(e));
    exit(1);
}
#define MUST(call) must((call), #call)

// Cycles of the multiprocessor that the first block of a kernel is on.
__device__ __forceinline__ long long cycles() {
    long long now;
    asm volatile("mov.u64 %0, %%clock64;" : "=l"(now) : : "memory");
    return now;
}

struct Seen {
    uint32_t subnormal, alignment, e4m3, cycles;
};

// One thread; `one` is 1, which the compiler does not know.
__global__ void facts(Seen* seen, uint32_t one) {
    extern __shared__ __align__(1024) unsigned char shared[];
    // MXFP4 is decoded by a product with a subnormal bf16: 2^-130 (0x0008) by 2^126 (0x7e80) is 2^-4 (0x3d80).
    uint32_t product;
    asm volatile("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(product) : "r"(0x00080008u * one), "r"(0x7e807e80u), "r"(0x80008000u));
    seen->subnormal = product;
    // wgmma's swizzle counts from addresses that are multiples of 1,024.
    seen->alignment = (uint32_t)__cvta_generic_to_shared(shared) % 1024;
    // 1.0 is 0x38 and -2.0 is 0xc0; the first operand goes to the upper half.
    uint16_t pair;
    asm volatile("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(1.0f * one), "f"(-2.0f * one));
    seen->e4m3 = pair;
}

// Copies to shared memory as the wgmma kernels make them: a ring of stages, some steps ahead.
const int STAGE = 22528, STAGES = 8, THREADS = 384, STEPS = 3000;
enum Copying { COPY = 1, FENCE = 2 };

template <int WHAT>
__global__ __launch_bounds__(THREADS, 1) void copies(const unsigned char* from, uint32_t span, Seen* seen) {
    extern __shared__ __align__(1024) unsigned char shared[];
    uint32_t to = (uint32_t)__cvta_generic_to_shared(shared), sum = 0;
    auto stage = [&](uint32_t step) {
        if (WHAT & COPY) {
            const unsigned char* at = from + (step * STAGE + blockIdx.x * 5 * STAGE) % span;
            for (int i = threadIdx.x; i < STAGE / 16; i += THREADS) {
                asm volatile("cp.async.cg.shared.global [%0], [%1], 16;"
                             :
                             : "r"(to + step % STAGES * STAGE + i * 16), "l"(at + i * 16)
                             : "memory");
            }
        }
        asm volatile("cp.async.commit_group;" : : : "memory");
    };
    for (int step = 0; step < STAGES - 2; ++step) stage(step);
    long long began = cycles();
    for (int step = 0; step < STEPS; ++step) {
        asm volatile("cp.async.wait_group %0;" : : "n"(STAGES - 3) : "memory");
        if (WHAT & FENCE) asm volatile("fence.proxy.async.shared::cta;" : : : "memory");
        __syncthreads();
        stage(step + STAGES - 2);
        sum += *(const uint32_t*)(shared + step % STAGES * STAGE + threadIdx.x * 16);
    }
    asm volatile("cp.async.wait_all;" : : : "memory");
    if (blockIdx.x == 0 && threadIdx.x == 0) seen->cycles = (uint32_t)(cycles() - began);
    // Never: but the sums are wanted.
    if (sum == 0xfeedf00du) seen->subnormal = sum;
}

enum Instruction { LOP3, SHF, IMAD, HMUL2, LOP3_AND_IMAD, INSTRUCTIONS };
const char* const NAMES[] = {"LOP3", "SHF", "IMAD", "HMUL2.BF16", "LOP3 and IMAD in turn"};
const int ROUNDS = 1000, UNROLLED = 64;

// Four chains a thread, sixteen warps: enough for every scheduler to have one ready.
template <int WHICH>
__global__ void rate(Seen* seen, uint32_t one) {
    uint32_t x[4];
    for (int i = 0; i < 4; ++i) x[i] = threadIdx.x * 4 + i + one;
    __syncthreads();
    long long began = cycles();
    for (int round = 0; round < ROUNDS; ++round) {
#pragma unroll
        for (int i = 0; i < UNROLLED; ++i) {
            uint32_t& v = x[i % 4];
            bool logic = WHICH == LOP3 || (WHICH == LOP3_AND_IMAD && i % 2 == 0);
            bool product = WHICH == IMAD || (WHICH == LOP3_AND_IMAD && i % 2 == 1);
            if (logic) asm volatile("lop3.b32 %0, %0, %1, %2, 0x6a;" : "+r"(v) : "r"(0x70f070f0u), "r"(one));
            if (WHICH == SHF) asm volatile("shf.l.wrap.b32 %0, %0, %1, 3;" : "+r"(v) : "r"(one));
            if (product) asm volatile("mad.lo.u32 %0, %0, %1, %2;" : "+r"(v) : "r"(0x10dcdu), "r"(one));
            if (WHICH == HMUL2) asm volatile("fma.rn.bf16x2 %0, %0, %1, %2;" : "+r"(v) : "r"(0x3f803f80u), "r"(0x80008000u));
        }
    }
    __syncthreads();
    if (blockIdx.x == 0 && threadIdx.x == 0) seen->cycles = (uint32_t)(cycles() - began);
    if ((x[0] ^ x[1] ^ x[2] ^ x[3]) == 0xfeedf00du) seen->subnormal = 0;
}

int main() {
    cudaDeviceProp device;
    MUST(cudaGetDeviceProperties(&device, 0));
    int driver = 0, blocks = device.multiProcessorCount, wrong = 0;
    MUST(cudaDriverGetVersion(&driver));
    printf("%s, compute capability %d.%d, %d multiprocessors, driver for CUDA %d.%d\n", device.name, device.major, device.minor, blocks,
           driver / 1000, driver % 1000 / 10);
    Seen* seen;
    MUST(cudaMallocManaged(&seen, sizeof(Seen)));
    auto expect = [&](const char* what, uint32_t found, uint32_t expected, const char* else_what) {
        printf("%-52s %08x, expected %08x: %s\n", what, found, expected, found == expected ? "right" : else_what);
        wrong |= found != expected;
    };
    facts<<<1, 1, 4096>>>(seen, 1);
    MUST(cudaDeviceSynchronize());
    expect("subnormal bf16 times 2^126", seen->subnormal, 0x3d803d80u, "WRONG, MXFP4 cannot be decoded so");
    expect("dynamic shared memory begins at, modulo 1,024", seen->alignment, 0, "WRONG, wgmma's swizzle is off");
    expect("e4m3 of 1 and -2", seen->e4m3, 0x38c0u, "WRONG, fp8 keys and values are swapped");

    unsigned char* data;
    uint32_t span = 16u << 20, shared = STAGE * STAGES;
    MUST(cudaMalloc(&data, span + 2 * STAGE));
    MUST(cudaMemset(data, 1, span + 2 * STAGE));
    cudaEvent_t from, to;
    MUST(cudaEventCreate(&from));
    MUST(cudaEventCreate(&to));
    auto copy = [&](const char* what, auto kernel) {
        float ms = 0;
        MUST(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared));
        // Twice: the first loads the code, and the data into the second-level cache.
        for (int i = 0; i < 2; ++i) {
            MUST(cudaEventRecord(from));
            kernel<<<blocks, THREADS, shared>>>(data, span, seen);
            MUST(cudaEventRecord(to));
            MUST(cudaDeviceSynchronize());
            MUST(cudaEventElapsedTime(&ms, from, to));
        }
        printf("%-52s %.0f cycles a step of %d bytes, %.2f TB/s\n", what, (double)seen->cycles / STEPS, STAGE,
               (double)blocks * STAGE * STEPS / ms / 1e9);
    };
    copy("copies from the second-level cache", copies<COPY>);
    copy("the same, and fence.proxy.async each step", copies<COPY | FENCE>);
    copy("the fence alone (its bytes are not moved)", copies<FENCE>);

    auto measure = [&](int which, auto kernel) {
        for (int i = 0; i < 2; ++i) {
            kernel<<<blocks, 512>>>(seen, 1);
            MUST(cudaDeviceSynchronize());
        }
        // Sixteen warps on four schedulers.
        printf("%-52s %.2f instructions a cycle and scheduler\n", NAMES[which], 4.0 * ROUNDS * UNROLLED / seen->cycles);
    };
    measure(LOP3, rate<LOP3>);
    measure(SHF, rate<SHF>);
    measure(IMAD, rate<IMAD>);
    measure(HMUL2, rate<HMUL2>);
    measure(LOP3_AND_IMAD, rate<LOP3_AND_IMAD>);
    return wrong;
}
