// Barriers in shared memory (`mbarrier`, sm_90): some warps fill buffers, others use them up, and nobody else waits.
//
// A barrier has phases 0, 1, 0, 1, ...; one is over when as many threads have arrived as it was made for. What a thread did before
// it arrived is seen by those who have waited for the end of that phase.
#pragma once
#include "wgmma.h"

// Bytes of one, at a multiple of it.
const u32 BARRIER = 8;

// By one thread, before a `__syncthreads` that all who use it pass.
DEVICE void barrier_make(u32 at, u32 arrivals) {
#ifdef OSSMARK_EMULATED
    emulator::barrier_make(at, arrivals);
#else
    WGMMA_ASM("mbarrier.init.shared::cta.b64 [%0], %1;" : : "r"(at), "r"(arrivals) : "memory");
#endif
}

DEVICE void barrier_arrive(u32 at) {
#ifdef OSSMARK_EMULATED
    emulator::barrier_arrive(at);
#else
    WGMMA_ASM("mbarrier.arrive.shared::cta.b64 _, [%0];" : : "r"(at) : "memory");
#endif
}

// Until the phase with this parity is over; a new barrier counts as one whose phase 1 is over.
DEVICE void barrier_wait(u32 at, u32 parity) {
#ifdef OSSMARK_EMULATED
    emulator::barrier_wait(at, parity);
#else
    WGMMA_ASM(
        "{\n.reg .pred over;\nagain%=:\nmbarrier.try_wait.parity.shared::cta.b64 over, [%0], %1;\n@!over bra again%=;\n}"
        :
        : "r"(at), "r"(parity)
        : "memory");
#endif
}
