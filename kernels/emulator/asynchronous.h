// What goes on in the background of a block: copies to shared memory (`cp.async`), products of four warps (`wgmma`), and barriers
// that only some of its threads wait for (`mbarrier`).
//
// Copies arrive when they are waited for, and what is there before is NaN. Sums are NaN until their products are waited
// for. A product whose registers of A, sums or shared operands change before that ends the program, and so do operands
// that were not announced to the tensor cores, a product without a fence, warps of four that do not agree, and addresses
// that the hardware would not take. Tests only.
#pragma once
#include <stdint.h>

namespace emulator {
uint32_t shared_address(const void* p);
// Sixteen bytes at a shared address.
const unsigned char* tile_row(uint32_t address);
// Any bytes at one.
const unsigned char* shared_bytes(uint32_t address, uint32_t bytes);
void copy16(uint32_t to, const void* from, uint32_t bytes);
void copy_commit();
void copy_wait(int pending);

void operands_written();
void wgmma_fence();
void wgmma_commit();
void wgmma_wait(int pending);
void wgmma(int n, float* sums, const uint32_t* a, uint64_t b);
void wgmma(int n, float* sums, uint64_t a, uint64_t b);

void barrier_make(uint32_t at, uint32_t arrivals);
void barrier_arrive(uint32_t at);
void barrier_wait(uint32_t at, uint32_t parity);
// Whether the phase with this parity is over.
bool barrier_over(uint32_t at, uint32_t parity);

// For fibers.cpp: around each block, and when a thread has ended.
void background_begin(uint32_t threads, size_t shared_bytes);
void background_end_block();
void background_end_thread();
}  // namespace emulator
