// Copies from global to shared memory that a thread starts and waits for later (`cp.async`, sm_80 and later).
#pragma once
#include "common.h"

// A shared-memory address as instructions take it.
DEVICE u32 shared_address(const void* p) {
#ifdef OSSMARK_EMULATED
    return emulator::shared_address(p);
#else
    return (u32)__cvta_generic_to_shared(p);
#endif
}

// Sixteen bytes, past the first-level cache: the first `bytes` from there, the rest zero.
DEVICE void copy16(u32 to, const void* from, u32 bytes) {
#ifdef OSSMARK_EMULATED
    emulator::copy16(to, from, bytes);
#else
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" : : "r"(to), "l"(from), "r"(bytes) : "memory");
#endif
}

// The same, for bytes whose neighbours will be wanted soon: the second-level cache fetches 128.
DEVICE void copy16_ahead(u32 to, const void* from, u32 bytes) {
#ifdef OSSMARK_EMULATED
    emulator::copy16(to, from, bytes);
#else
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" : : "r"(to), "l"(from), "r"(bytes) : "memory");
#endif
}

// The same with all sixteen bytes: a number of bytes in a register costs five instructions a copy.
DEVICE void copy16_whole(u32 to, const void* from) {
#ifdef OSSMARK_EMULATED
    emulator::copy16(to, from, 16);
#else
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" : : "r"(to), "l"(from) : "memory");
#endif
}
DEVICE void copy16_whole_ahead(u32 to, const void* from) {
#ifdef OSSMARK_EMULATED
    emulator::copy16(to, from, 16);
#else
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16;" : : "r"(to), "l"(from) : "memory");
#endif
}

// Ends a group of copies; it may be empty.
DEVICE void copy_commit() {
#ifdef OSSMARK_EMULATED
    emulator::copy_commit();
#else
    asm volatile("cp.async.commit_group;" : : : "memory");
#endif
}

// Waits until at most the latest `PENDING` groups of this thread are under way.
template <int PENDING>
DEVICE void copy_wait() {
#ifdef OSSMARK_EMULATED
    emulator::copy_wait(PENDING);
#else
    asm volatile("cp.async.wait_group %0;" : : "n"(PENDING) : "memory");
#endif
}

// What lies at a shared address.
DEVICE u32 shared4(u32 at) {
#ifdef OSSMARK_EMULATED
    return *(const u32*)emulator::shared_bytes(at, 4);
#else
    u32 v;
    asm volatile("ld.shared.u32 %0, [%1];" : "=r"(v) : "r"(at) : "memory");
    return v;
#endif
}
DEVICE Vec16 shared16(u32 at) {
    Vec16 v;
#ifdef OSSMARK_EMULATED
    emulated_load16(v.w, emulator::shared_bytes(at, 16));
#else
    asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v.w[0]), "=r"(v.w[1]), "=r"(v.w[2]), "=r"(v.w[3]) : "r"(at) : "memory");
#endif
    return v;
}
