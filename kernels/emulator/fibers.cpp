// Runs a kernel's blocks one after the other, and a block's threads as fibers. Tests only.
#include "emulation.h"

#include <setjmp.h>
#include <ucontext.h>

#include <functional>
#include <vector>

#include "fibers.h"

Index3 blockIdx, blockDim, gridDim;

namespace emulator {

const size_t STACK = 128 * 1024;
const int MAX_WORDS = 16;

struct Warp {
    uint32_t alive = 0, arrived = 0, generation = 0;
    uint32_t words[2][32 * MAX_WORDS];
};

struct Fiber {
    ucontext_t context;
    jmp_buf at;
    bool started = false, done, parity, waited;
    uint32_t warp, lane;
    // The generation it waits to pass, when waiting.
    bool at_block_barrier;
    uint32_t generation;
    // Or a phase of a barrier in shared memory.
    bool at_barrier;
    uint32_t barrier, barrier_parity;
    Index3 thread;
    unsigned char* stack = nullptr;
};

Fiber* current;
static std::vector<Fiber> fibers;
static std::vector<Warp> warps;
static uint32_t alive, arrived, generation;
static jmp_buf scheduler;
static const std::function<void()>* body;
static std::vector<unsigned char> shared_memory;
static uint64_t order_state = 1;

Index3& thread_index() { return current->thread; }
uint32_t lane() { return current->lane; }
uint32_t thread_number() { return current->warp * 32 + current->lane; }
unsigned char* dynamic_shared() {
    uintptr_t at = ((uintptr_t)shared_memory.data() + 1023) / 1024 * 1024;
    return (unsigned char*)at;
}

void waited_for_previous() { current->waited = true; }

static void yield() {
    if (_setjmp(current->at) == 0) _longjmp(scheduler, 1);
}

void block_barrier() {
    if (++arrived == alive) {
        arrived = 0;
        ++generation;
        return;
    }
    current->at_block_barrier = true;
    current->generation = generation;
    yield();
    current->at_block_barrier = false;
}

void wait_at(uint32_t barrier, uint32_t parity) {
    Fiber* f = current;
    f->barrier = barrier;
    f->barrier_parity = parity;
    f->at_barrier = true;
    // Also where it is over: others may go first, as on the hardware.
    yield();
    f->at_barrier = false;
}

void warp_barrier() {
    Warp& w = warps[current->warp];
    if (++w.arrived == w.alive) {
        w.arrived = 0;
        ++w.generation;
        return;
    }
    uint32_t now = w.generation;
    while (w.generation == now) yield();
}

const uint32_t* warp_exchange(const uint32_t* mine, int words) {
    Fiber* f = current;
    Warp& w = warps[f->warp];
    f->parity = !f->parity;
    memcpy(&w.words[f->parity][f->lane * MAX_WORDS], mine, words * 4);
    warp_barrier();
    return w.words[f->parity];
}

// A fiber is made once, and runs one thread after the other: making one costs more than most threads do.
static void enter() {
    for (;;) {
        (*body)();
        background_end_thread();
        Fiber* f = current;
        if (!f->waited) {
            fprintf(stderr, "emulator: a thread that ended without having waited for the kernels before its own\n");
            abort();
        }
        f->done = true;
        Warp& w = warps[f->warp];
        if (--w.alive == w.arrived && w.alive > 0) {
            w.arrived = 0;
            ++w.generation;
        }
        if (--alive == arrived && alive > 0) {
            arrived = 0;
            ++generation;
        }
        yield();
    }
}

static void resume(Fiber* f) {
    current = f;
    if (_setjmp(scheduler) != 0) return;
    if (f->started) _longjmp(f->at, 1);
    f->started = true;
    setcontext(&f->context);
}

static void run_block(uint32_t threads) {
    alive = threads;
    arrived = generation = 0;
    for (auto& w : warps) w.alive = w.arrived = w.generation = 0;
    for (uint32_t i = 0; i < threads; ++i) {
        Fiber& f = fibers[i];
        f.done = f.parity = f.waited = f.at_block_barrier = f.at_barrier = false;
        f.warp = i / 32;
        f.lane = i % 32;
        f.thread = {i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y};
        ++warps[f.warp].alive;
        if (f.started) continue;
        getcontext(&f.context);
        f.context.uc_stack.ss_sp = f.stack;
        f.context.uc_stack.ss_size = STACK;
        f.context.uc_link = nullptr;
        makecontext(&f.context, enter, 0);
    }
    background_begin(threads, shared_memory.size() - 1024);
    uint32_t n_warps = (threads + 31) / 32;
    order_state = order_state * 6364136223846793005u + 1442695040888963407u;
    uint32_t first_warp = (order_state >> 33) % n_warps, flip = (order_state >> 20) & 31;
    while (alive > 0) {
        bool moved = false;
        for (uint32_t i = 0; i < n_warps; ++i) {
            uint32_t w = (first_warp + i) % n_warps;
            // All lanes until each is done or waits for the block.
            for (bool again = true; again;) {
                again = false;
                for (uint32_t l = 0; l < 32; ++l) {
                    uint32_t at = w * 32 + (l ^ flip);
                    if (at >= threads) continue;
                    Fiber& f = fibers[at];
                    if (f.done || (f.at_block_barrier && f.generation == generation)) continue;
                    if (f.at_barrier && !barrier_over(f.barrier, f.barrier_parity)) continue;
                    resume(&f);
                    moved = true;
                    again = true;
                }
            }
        }
        if (!moved) {
            fprintf(stderr, "emulator: a barrier that not all threads reach, in block (%u, %u, %u)\n", blockIdx.x, blockIdx.y, blockIdx.z);
            abort();
        }
    }
    background_end_block();
}

void run(Index3 grid, Index3 block, size_t shared_bytes, const std::function<void()>& kernel) {
    uint32_t threads = block.x * block.y * block.z;
    while (fibers.size() < threads) {
        fibers.emplace_back();
        fibers.back().stack = (unsigned char*)malloc(STACK);
    }
    if (warps.size() < (threads + 31) / 32) warps.resize((threads + 31) / 32);
    shared_memory.assign(shared_bytes + 1024, 0xff);
    blockDim = block;
    gridDim = grid;
    body = &kernel;
    for (uint32_t z = 0; z < grid.z; ++z) {
        for (uint32_t y = 0; y < grid.y; ++y) {
            for (uint32_t x = 0; x < grid.x; ++x) {
                blockIdx = {x, y, z};
                run_block(threads);
            }
        }
    }
}

}  // namespace emulator
