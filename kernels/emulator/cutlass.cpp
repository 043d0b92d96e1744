// Compares CUTLASS's own layouts, evaluated on the host, with those of the kernels and of the emulator (`.ci/cutlass`):
//
// - where an operand's bytes are in shared memory, and its descriptors, as wgmma.h makes them;
// - what the emulator's wgmma, mma.sync and ldmatrix take from and give to each thread: operands are placed by CUTLASS's layouts,
//   multiplied by the emulator, and the sums read by CUTLASS's;
// - which element of an expert's packed matrix each thread of the wide kernels decodes into which register of A.
//
// Kernels are not compared: they run on the emulator against f64, and so against these layouts.
#include <cstddef>
#include <cstdio>

// What CUTLASS turns a pointer to shared memory into an address with, once told that there is such a thing here.
#define CUTE_CVTA_GENERIC_TO_SHARED_ACTIVATED 1
namespace emulator {
unsigned shared_address(const void* p);
}
static inline size_t __cvta_generic_to_shared(const void* p) { return emulator::shared_address(p); }
#define CUTE_SM90_EXTENDED_MMA_SHAPES_ENABLED
#include <cute/atom/copy_traits_sm75.hpp>
#include <cute/atom/mma_atom.hpp>
#include <cute/atom/mma_traits_sm80.hpp>
#include <cute/atom/mma_traits_sm90_gmma.hpp>
#include <cute/tensor.hpp>

// CUDA's headers say these differently.
#undef __global__
#undef __device__
#undef __forceinline__
#undef __launch_bounds__
#undef __align__
#undef __shared__
#undef __restrict__
#define OSSMARK_EMULATED
#include "include/common.h"
#include "include/linear_wgmma.h"
#include "include/moe_wgmma.h"
#include "fibers.h"

using namespace cute;
typedef cute::bfloat16_t Element;
static long compared, different;

// One comparison; the first few that fail are shown.
static void same(const char* what, long long ours, long long cutlass, int a, int b, int c) {
    ++compared;
    if (ours == cutlass) return;
    if (++different <= 20) printf("  %s at %d, %d, %d: here %lld, CUTLASS %lld\n", what, a, b, c, ours, cutlass);
}

static void say(const char* what) {
    static long before, before_different;
    printf("%-64s %8ld compared, %ld different\n", what, compared - before, different - before_different);
    before = compared;
    before_different = different;
}

// Small whole numbers: every sum is exact.
static int a_of(int m, int k) { return (m * 7 + k * 5) % 17 - 8; }
static int b_of(int n, int k) { return (n * 3 + k * 11) % 13 - 6; }

// Rows of 64 elements, k along the row.
template <int ROWS>
static auto rows_layout() {
    return tile_to_shape(SM90::GMMA::Layout_K_SW128_Atom<Element>{}, Shape<Int<ROWS>, Int<64>>{});
}

template <int ROWS>
static bf16* place(unsigned char* at, int (*value)(int, int)) {
    auto where = as_position_independent_swizzle_layout(rows_layout<ROWS>());
    for (int row = 0; row < ROWS; ++row) {
        for (int k = 0; k < 64; ++k) ((bf16*)at)[where(row, k)] = bf16_of((float)value(row, k));
    }
    return (bf16*)at;
}

template <int ROWS>
static void bytes_of_rows() {
    auto where = as_position_independent_swizzle_layout(rows_layout<ROWS>());
    for (int row = 0; row < ROWS; ++row) {
        for (int k = 0; k < 64; ++k) same("byte", wgmma_chunk(row, k / 8) + k % 8 * 2, 2 * where(row, k), ROWS, row, k);
    }
}

// `threads` fibers of a block with shared memory run `work`.
template <typename Work>
static void on_the_emulator(uint32_t threads, size_t shared_bytes, const Work& work) {
    emulator::run({1, 1, 1}, {threads, 1, 1}, shared_bytes, [&] {
        wait_for_previous();
        work(threadIdx.x);
    });
}

template <int N>
static void sums_are(const char* what, const float* sums, int first_row, int depth, int thread) {
    typename SM90::GMMA::CLayout_64xN<N> layout;
    for (int v = 0; v < N / 2; ++v) {
        int index = layout(thread, v), m = index % 64, n = index / 64;
        long long want = 0;
        for (int k = 0; k < depth; ++k) want += a_of(first_row + m, k) * b_of(n, k);
        same(what, (long long)sums[v], want, N, thread, v);
    }
}

// sums = A B with A in registers, B and its descriptors as CUTLASS has them; then A in shared memory, too.
template <int N, class Rs, class Ss>
static void wgmma_of() {
    const size_t b_at = 256 * WGMMA_ROW;
    on_the_emulator(128, b_at + N * WGMMA_ROW, [&](uint32_t thread) {
        unsigned char* shared = emulator::dynamic_shared();
        if (thread == 0) {
            place<256>(shared, a_of);
            place<N>(shared + b_at, b_of);
        }
        __syncthreads();
        auto a_there = make_tensor(make_smem_ptr((Element*)shared), rows_layout<256>());
        auto b_there = make_tensor(make_smem_ptr((Element*)(shared + b_at)), rows_layout<N>());
        auto rs = make_tiled_mma(Rs{}).get_slice(thread);
        auto ss = make_tiled_mma(Ss{}).get_slice(thread);
        auto b_parts = rs.partition_fragment_B(b_there);
        auto a_parts = ss.partition_fragment_A(a_there);
        auto b_desc = [&](int k) { return (u64)*(b_parts.data() + b_parts.layout()(0, 0, k)); };
        auto a_desc = [&](int m, int k) { return (u64)*(a_parts.data() + a_parts.layout()(0, m, k)); };
        for (int k = 0; k < 4; ++k) {
            same("descriptor of B", wgmma_descriptor(shared_address(shared) + b_at) + 2 * k, b_desc(k), N, thread, k);
            same("descriptor of B", wgmma_descriptor_of(wgmma_descriptor_low(shared_address(shared) + b_at) + 2 * k), b_desc(k), N, thread, k);
            for (int m = 0; m < 4; ++m) {
                // As linear_wgmma.h has them: two groups of 64 rows, and the same 128 on.
                u64 here = wgmma_descriptor(shared_address(shared) + m % 2 * 64 * WGMMA_ROW) + m / 2 * (128 * WGMMA_ROW / 16) + 2 * k;
                same("descriptor of A", here, a_desc(m, k), m, thread, k);
            }
        }
        float sums[N / 2] = {};
        u32 a[4][4] = {};
        typename MMA_Traits<Rs>::ALayout layout;
        for (int k = 0; k < 4; ++k) {
            for (int v = 0; v < 8; ++v) {
                int index = layout(thread, v), m = index % 64, depth = index / 64;
                a[k][v / 2] |= (u32)bf16_of((float)a_of(m, 16 * k + depth)) << (16 * (v % 2));
            }
        }
        wgmma_fence();
        for (int k = 0; k < 4; ++k) Wgmma<N>::multiply(sums, a[k], b_desc(k));
        wgmma_commit();
        wgmma_wait<0>();
        sums_are<N>("sum, A in registers", sums, 0, 64, thread);
        for (int m = 0; m < 4; ++m) {
            float others[N / 2] = {};
            wgmma_fence();
            for (int k = 0; k < 4; ++k) Wgmma<N>::multiply(others, a_desc(m, k), b_desc(k));
            wgmma_commit();
            wgmma_wait<0>();
            sums_are<N>("sum, A in shared memory", others, 64 * m, 64, thread);
        }
    });
}

template <class Op, typename Bits, typename Multiply>
static void mma_of(const char* what, Bits bits, Multiply multiply) {
    on_the_emulator(32, 0, [&](uint32_t thread) {
        typename MMA_Traits<Op>::ALayout a_layout;
        typename MMA_Traits<Op>::BLayout b_layout;
        typename MMA_Traits<Op>::CLayout c_layout;
        u32 a[4] = {}, b[2] = {};
        float sums[4] = {};
        for (int v = 0; v < 8; ++v) {
            int index = a_layout(thread, v);
            a[v / 2] |= (u32)bits((float)a_of(index % 16, index / 16)) << (16 * (v % 2));
        }
        for (int v = 0; v < 4; ++v) {
            int index = b_layout(thread, v);
            b[v / 2] |= (u32)bits((float)b_of(index % 8, index / 8)) << (16 * (v % 2));
        }
        multiply(sums, a[0], a[1], a[2], a[3], b[0], b[1]);
        for (int v = 0; v < 4; ++v) {
            int index = c_layout(thread, v), m = index % 16, n = index / 16;
            long long want = 0;
            for (int k = 0; k < 16; ++k) want += a_of(m, k) * b_of(n, k);
            same(what, (long long)sums[v], want, 0, thread, v);
        }
    });
}

// Every element of the four tiles is another number.
template <bool TRANSPOSED, class Op>
static void tiles_of(const char* what) {
    on_the_emulator(32, 512, [&](uint32_t thread) {
        u16* shared = (u16*)emulator::dynamic_shared();
        for (int i = 0; i < 8; ++i) shared[8 * thread + i] = (u16)(8 * thread + i);
        __syncwarp();
        u32 out[4];
        load_tiles<TRANSPOSED>(out, shared_address(shared + 8 * thread));
        // In bits, of the 16 bytes of each lane one after the other.
        typename Copy_Traits<Op>::DstLayout layout;
        for (int v = 0; v < 8; ++v) same(what, out[v / 2] >> (16 * (v % 2)) & 0xffffu, layout(thread, 16 * v) / 16, 0, thread, v);
    });
}

// The numbers that four bits stand for (OCP MX, E2M1).
static float mxfp4(u32 nibble) {
    static const float magnitudes[8] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
    return nibble & 8 ? -magnitudes[nibble & 7] : magnitudes[nibble & 7];
}
static u32 nibble_of(u32 row, u32 col) { return (row * 2654435761u ^ col * 40503u) >> 7 & 15; }
static u32 scale_of(u32 row, u32 group) { return 110 + (row * 5 + row / 16 * 3 + group * 7) % 16; }

// A stage of the wide kernels: each thread's registers of A against the matrix, by CUTLASS's ALayout. Row g of a strip as wgmma
// counts is the matrix's row 2 g, row g + 8 its row 2 g + 1 (mxfp4.h).
static void weights_of_experts() {
    on_the_emulator(32 * MOE_WGMMA_WARPS, MOE_WGMMA_STAGE, [&](uint32_t thread) {
        unsigned char* shared = emulator::dynamic_shared();
        if (thread == 0) {
            memset(shared, 0, MOE_WGMMA_STAGE);
            for (u32 row = 0; row < MOE_WGMMA_OUTS; ++row) {
                u32 square = row / 64;
                for (u32 col = 0; col < 64; ++col) {
                    u32* word = (u32*)(shared + MOE_WGMMA_X + square * MXFP4_WORDS + mxfp4_word_at(row, col));
                    *word |= mxfp4_placed(nibble_of(row, col), col % 32 / 8) << (16 * (col % 2));
                    shared[MOE_WGMMA_SCALES + square * MXFP4_SCALES + mxfp4_scale_at(row, col)] = (u8)scale_of(row, col / 32);
                }
            }
        }
        __syncthreads();
        MoeWgmmaWeights weights;
        moe_wgmma_decode(shared_address(shared), moe_wgmma_thread(), weights);
        SM90::GMMA::ALayout_64x16 layout;
        for (int k = 0; k < 4; ++k) {
            for (int v = 0; v < 8; ++v) {
                int index = layout(thread % 128, v), m = index % 64, col = 16 * k + index / 64;
                u32 row = thread / 128 * 64 + m / 16 * 16 + 2 * (m % 8) + m % 16 / 8;
                float want = mxfp4(nibble_of(row, col)) * ldexpf(1, (int)scale_of(row, col / 32) - 127);
                u32 bits = weights[k][v / 2] >> (16 * (v % 2)) & 0xffffu;
                same("weight", bits, bf16_of(want), k, thread, v);
            }
        }
    });
}

template <template <SM90::GMMA::Major, SM90::GMMA::Major, SM90::GMMA::ScaleIn, SM90::GMMA::ScaleIn> class Op>
using KMajor = Op<SM90::GMMA::Major::K, SM90::GMMA::Major::K, SM90::GMMA::ScaleIn::One, SM90::GMMA::ScaleIn::One>;

int main() {
    bytes_of_rows<64>();
    bytes_of_rows<128>();
    bytes_of_rows<160>();
    bytes_of_rows<256>();
    say("bytes of an operand in shared memory");
#define WIDTH(n)                                                                                                                     \
    wgmma_of<n, KMajor<SM90::GMMA::MMA_64x##n##x16_F32BF16BF16_RS>, KMajor<SM90::GMMA::MMA_64x##n##x16_F32BF16BF16_SS>>();         \
    say("wgmma m64n" #n "k16: descriptors of A and B, registers of A, sums")
    WIDTH(32);
    WIDTH(64);
    WIDTH(96);
    WIDTH(128);
    WIDTH(160);
    mma_of<SM80_16x8x16_F32BF16BF16F32_TN>("mma_bf16", bf16_of, mma_bf16);
    say("mma.sync m16n8k16 bf16: registers of A and B, sums");
    mma_of<SM80_16x8x16_F32F16F16F32_TN>("mma_f16", [](float x) { return cute::half_t(x).storage; }, mma_f16);
    say("mma.sync m16n8k16 f16: registers of A and B, sums");
    tiles_of<false, SM75_U32x4_LDSM_N>("ldmatrix");
    tiles_of<true, SM75_U16x8_LDSM_T>("ldmatrix.trans");
    say("ldmatrix.x4, plain and transposed");
    weights_of_experts();
    say("experts' weights: the registers of A of the wide kernels");
    return different ? 1 : 0;
}
