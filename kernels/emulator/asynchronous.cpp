#include "emulation.h"

#include <deque>
#include <map>
#include <vector>

#include "fibers.h"

namespace emulator {

struct Copy {
    uint32_t to;
    const void* from;
    uint32_t bytes;
    uint64_t group;
};

struct Product {
    int n;
    float* sums;
    // Registers, or null.
    const uint32_t* a;
    uint32_t a_then[4];
    uint64_t a_shared, b_shared;
    // Of the operands in shared memory, when the product was started.
    uint64_t operands;
    uint64_t group;
};

// The true sums of products under way; what the thread sees is NaN.
struct Sums {
    float* seen;
    std::vector<float> values;
};

struct Thread {
    std::vector<Copy> copies;
    std::deque<Product> products;
    std::vector<Sums> sums;
    uint64_t copy_group, product_group, products_started;
    bool fenced, written;
};

// What the first of four warps did, which the others have to repeat.
struct Started {
    int n;
    uint64_t a, b;
};

struct Barrier {
    uint32_t arrivals, missing, phase;
    // That have arrived in this phase.
    std::vector<uint32_t> who;
};

static std::vector<Thread> threads;
static std::map<uint32_t, Barrier> barriers;
static std::vector<std::vector<Started>> groups_of_four;
static size_t shared_size;
// The first kilobyte belongs to the system, as on the hardware.
static const uint32_t FIRST = 1024;
static const uint32_t HIDDEN = 0xffffffffu;

[[noreturn]] static void wrong(const char* what) {
    fprintf(stderr, "emulator: %s, in thread %u of block (%u, %u, %u)\n", what, thread_number(), blockIdx.x, blockIdx.y, blockIdx.z);
    abort();
}

void background_begin(uint32_t n, size_t shared_bytes) {
    threads.resize(n);
    for (auto& t : threads) {
        t.copies.clear();
        t.products.clear();
        t.sums.clear();
        t.copy_group = t.product_group = t.products_started = 0;
        t.fenced = t.written = false;
    }
    barriers.clear();
    groups_of_four.assign((n + 127) / 128, {});
    shared_size = shared_bytes;
}

void background_end_block() {
    for (auto& b : barriers) {
        if (b.second.missing != b.second.arrivals) {
            fprintf(stderr, "emulator: a barrier of %u arrivals that misses %u at the end of block (%u, %u, %u)\n", b.second.arrivals,
                    b.second.missing, blockIdx.x, blockIdx.y, blockIdx.z);
            abort();
        }
    }
}

void background_end_thread() {
    if (!threads[thread_number()].products.empty()) wrong("a thread ended before its wgmma");
}

static Thread& mine() { return threads[thread_number()]; }

uint32_t shared_address(const void* p) {
    size_t at = (const unsigned char*)p - dynamic_shared();
    if (at > shared_size) wrong("an address that is not in dynamic shared memory");
    return FIRST + (uint32_t)at;
}

static unsigned char* at_shared(uint32_t address, size_t bytes) {
    if (address < FIRST || address - FIRST + bytes > shared_size) wrong("an access past the end of shared memory");
    return dynamic_shared() + (address - FIRST);
}

const unsigned char* tile_row(uint32_t address) {
    if (address % 16 != 0) wrong("ldmatrix of an address that is not a multiple of 16");
    return at_shared(address, 16);
}

const unsigned char* shared_bytes(uint32_t address, uint32_t bytes) { return at_shared(address, bytes); }

void copy16(uint32_t to, const void* from, uint32_t bytes) {
    if (bytes > 16) wrong("cp.async of more than 16 bytes");
    emulated_aligned(from, 16);
    if (to % 16 != 0) wrong("cp.async to an address that is not a multiple of 16");
    memset(at_shared(to, 16), 0xff, 16);
    mine().copies.push_back({to, from, bytes, mine().copy_group});
}

void copy_commit() { ++mine().copy_group; }

void copy_wait(int pending) {
    Thread& t = mine();
    size_t kept = 0;
    for (Copy& c : t.copies) {
        if (c.group + pending < t.copy_group) {
            memset(at_shared(c.to, 16), 0, 16);
            memcpy(at_shared(c.to, 16), c.from, c.bytes);
            t.written = true;
        } else {
            t.copies[kept++] = c;
        }
    }
    t.copies.resize(kept);
}

static Barrier& barrier(uint32_t at) {
    auto found = barriers.find(at);
    if (found == barriers.end()) wrong("a barrier that nobody made");
    return found->second;
}

void barrier_make(uint32_t at, uint32_t arrivals) {
    if (at % 8 != 0) wrong("a barrier at an address that is not a multiple of 8");
    at_shared(at, 8);
    if (arrivals == 0 || !barriers.insert({at, {arrivals, arrivals, 0, {}}}).second) wrong("a barrier made twice, or for nobody");
}

void barrier_arrive(uint32_t at) {
    Barrier& b = barrier(at);
    for (uint32_t thread : b.who) {
        if (thread == thread_number()) wrong("a thread that arrives twice in a phase of a barrier: it is made for others than do");
    }
    b.who.push_back(thread_number());
    if (--b.missing > 0) return;
    b.who.clear();
    b.missing = b.arrivals;
    ++b.phase;
}

// As the hardware has it, which knows the parity of the phase that goes on alone.
bool barrier_over(uint32_t at, uint32_t parity) { return barrier(at).phase % 2 != parity; }

void barrier_wait(uint32_t at, uint32_t parity) {
    if (parity > 1) wrong("a parity beyond 1");
    barrier(at);
    wait_at(at, parity);
}

void operands_written() { mine().written = false; }

void wgmma_fence() { mine().fenced = true; }

// Where 16 bytes of an operand are: `chunk` (eight k) of `row`, k along the row, 128-byte swizzle. The swizzle works on the
// bits of the address.
static const unsigned char* operand(uint64_t descriptor, uint32_t row, uint32_t chunk) {
    uint32_t start = (descriptor & 0x3fff) << 4, stride = (descriptor >> 32 & 0x3fff) << 4;
    if (descriptor >> 62 != 1 || (descriptor >> 49 & 7) != 0) wrong("a wgmma descriptor that the emulator does not know");
    uint32_t address = start + row / 8 * stride + row % 8 * 128 + chunk * 16;
    address ^= (address >> 7 & 7) << 4;
    return at_shared(address, 16);
}

static void numbers(uint64_t descriptor, uint32_t row, double* k) {
    for (uint32_t chunk = 0; chunk < 2; ++chunk) {
        uint16_t bits[8];
        memcpy(bits, operand(descriptor, row, chunk), 16);
        for (int i = 0; i < 8; ++i) k[8 * chunk + i] = __uint_as_float((uint32_t)bits[i] << 16);
    }
}

static uint64_t mixed(uint64_t sum, uint64_t descriptor, uint32_t row) {
    for (uint32_t chunk = 0; chunk < 2; ++chunk) {
        uint64_t words[2];
        memcpy(words, operand(descriptor, row, chunk), 16);
        sum = (sum ^ words[0]) * 0x9e3779b97f4a7c15u;
        sum = (sum ^ words[1]) * 0xc2b2ae3d27d4eb4fu;
        sum ^= sum >> 29;
    }
    return sum;
}

// Of what this thread's sums are made of.
static uint64_t operands_of(const Product& p) {
    uint32_t g = lane() / 4, t = lane() % 4, warp = thread_number() / 32 % 4;
    uint64_t sum = 1;
    for (int col = 0; col < p.n; col += 8) {
        sum = mixed(mixed(sum, p.b_shared, col + 2 * t), p.b_shared, col + 2 * t + 1);
    }
    return p.a ? sum : mixed(mixed(sum, p.a_shared, 16 * warp + g), p.a_shared, 16 * warp + g + 8);
}

static Sums& hidden(float* seen, int n) {
    for (auto& s : mine().sums) {
        if (s.seen != seen) continue;
        for (size_t i = 0; i < s.values.size(); ++i) {
            if (__float_as_uint(seen[i]) != HIDDEN) wrong("sums of a wgmma were written before it was waited for");
        }
        return s;
    }
    mine().sums.push_back({seen, std::vector<float>(seen, seen + n / 2)});
    memset(seen, 0xff, n / 2 * sizeof(float));
    return mine().sums.back();
}

static void start(int n, float* sums, const uint32_t* a, uint64_t a_shared, uint64_t b_shared) {
    Thread& me = mine();
    if (n % 8 != 0 || n < 8 || n > 256) wrong("a wgmma of a width that there is not");
    if (!me.fenced) wrong("wgmma without a fence");
    for (auto& t : threads) {
        if (t.written) wrong("wgmma reads what was not announced (fence.proxy.async)");
    }
    auto& four = groups_of_four[thread_number() / 128];
    uint64_t number = me.products_started++;
    if (number == four.size()) four.push_back({n, a_shared, b_shared});
    if (number > four.size() || four[number].n != n || four[number].a != a_shared || four[number].b != b_shared) {
        wrong("four warps that do not agree on a wgmma");
    }
    Product p = {n, sums, a, {}, a_shared, b_shared, 0, me.product_group};
    double low[16], high[16];
    if (a) {
        memcpy(p.a_then, a, 16);
        const uint32_t* all = warp_exchange(a, 4);
        for (uint32_t k = 0; k < 16; ++k) {
            const uint32_t* from = all + (lane() / 4 * 4 + k % 8 / 2) * 16 + k / 8 * 2;
            uint32_t shift = k % 2 * 16;
            low[k] = __uint_as_float(from[0] >> shift << 16);
            high[k] = __uint_as_float(from[1] >> shift << 16);
        }
    } else {
        uint32_t row = thread_number() / 32 % 4 * 16 + lane() / 4;
        numbers(a_shared, row, low);
        numbers(a_shared, row + 8, high);
    }
    p.operands = operands_of(p);
    Sums& s = hidden(sums, n);
    for (int j = 0; j < n / 8; ++j) {
        for (int e = 0; e < 2; ++e) {
            double b[16], first = s.values[4 * j + e], second = s.values[4 * j + 2 + e];
            numbers(b_shared, 8 * j + 2 * (lane() % 4) + e, b);
            for (int k = 0; k < 16; ++k) {
                first += low[k] * b[k];
                second += high[k] * b[k];
            }
            s.values[4 * j + e] = (float)first;
            s.values[4 * j + 2 + e] = (float)second;
        }
    }
    me.products.push_back(p);
}

void wgmma(int n, float* sums, const uint32_t* a, uint64_t b) { start(n, sums, a, 0, b); }
void wgmma(int n, float* sums, uint64_t a, uint64_t b) { start(n, sums, nullptr, a, b); }

void wgmma_commit() {
    ++mine().product_group;
    mine().fenced = false;
}

void wgmma_wait(int pending) {
    Thread& t = mine();
    while (!t.products.empty() && t.products.front().group + pending < t.product_group) {
        Product p = t.products.front();
        t.products.pop_front();
        if (p.a && memcmp(p.a, p.a_then, 16) != 0) wrong("registers of a wgmma changed before it was waited for");
        if (operands_of(p) != p.operands) wrong("shared memory changed under a wgmma");
        bool last = true;
        for (auto& later : t.products) last &= later.sums != p.sums;
        if (!last) continue;
        Sums& s = hidden(p.sums, p.n);
        memcpy(p.sums, s.values.data(), s.values.size() * sizeof(float));
        s = t.sums.back();
        t.sums.pop_back();
    }
}

}  // namespace emulator
