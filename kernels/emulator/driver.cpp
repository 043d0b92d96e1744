// Stands in for libcuda.so and libnvrtc.so: the calls that ossmark makes, on the emulator. Tests only.
//
// Work on a stream is queued and done when somebody waits, so that a host buffer that is changed too early shows. Device
// memory is filled with NaN when it is handed out and ends at a page that cannot be touched.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <vector>

#include "fibers.h"
#include "kernels.h"

typedef int Result;
enum { OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, STUB_LIBRARY = 34, NOT_FOUND = 500, LAUNCH_FAILED = 719, CAPTURE_UNSUPPORTED = 900, CAPTURE_INVALIDATED = 901 };

static std::recursive_mutex lock;
#define LOCKED std::lock_guard<std::recursive_mutex> guard(lock)
static std::deque<std::function<void()>> queue;
struct Allocation {
    void* map;
    size_t mapped, bytes;
};
static std::map<uintptr_t, Allocation> device_memory;
static std::map<uintptr_t, size_t> pinned;
static size_t used, launches;

static size_t total_memory() {
    const char* mib = getenv("OSSMARK_EMULATOR_MIB");
    return (mib ? strtoull(mib, nullptr, 10) : 4096) << 20;
}

// The device breaks at this launch, for the tests of what happens then.
static size_t breaks_at() {
    const char* n = getenv("OSSMARK_EMULATOR_BREAKS_AT");
    return n ? strtoull(n, nullptr, 10) : SIZE_MAX;
}

// A kernel has faulted: the context is of no use any more.
static bool faulted;

static Result drain() {
    while (!queue.empty() && !faulted) {
        queue.front()();
        queue.pop_front();
    }
    return faulted || launches >= breaks_at() ? LAUNCH_FAILED : OK;
}

// Launches that are recorded instead of done, since cuStreamBeginCapture.
typedef std::vector<std::function<void()>> Graph;
struct GraphExec {
    Graph launches;
    // What it takes of the device's memory once it is there: OSSMARK_EMULATOR_GRAPH_KIB for each launch.
    size_t bytes;
    bool uploaded;
};

static size_t graph_bytes(size_t nodes) {
    const char* kib = getenv("OSSMARK_EMULATOR_GRAPH_KIB");
    return kib ? (strtoull(kib, nullptr, 10) << 10) * nodes : 0;
}
// Each thread has a device, and so a stream, of its own.
static thread_local bool capturing, capture_broken;
static thread_local Graph captured;

// What cannot be recorded spoils the recording, as on the device.
#define NOT_WHILE_CAPTURING \
    if (capturing) { \
        capture_broken = true; \
        return CAPTURE_UNSUPPORTED; \
    }

// The driver's calls are not documented for no bytes at all: nobody should rely on them.
#define NOT_NOTHING(bytes) \
    if ((bytes) == 0) return INVALID_VALUE

// `fail`: nothing can be recorded; `skip`: launches of recordings do nothing. For the tests of what happens then.
static bool graphs_are(const char* how) {
    const char* set = getenv("OSSMARK_EMULATOR_GRAPHS");
    return set && strcmp(set, how) == 0;
}

// One of the kernels, by commas, that the variable names. For the tests of how trouble is noticed: _SKIPS names kernels that do
// nothing, _HANGS those that never end, _FAULTS those that break the context.
static bool names(const char* variable, const std::string& kernel) {
    const char* set = getenv(variable);
    return set && ("," + std::string(set) + ",").find("," + kernel + ",") != std::string::npos;
}

// Where OSSMARK_EMULATOR_TIMES is set (`linear_mma=5,router=20`, in milliseconds), events tell the time of a clock that only
// launches move: those of the kernels named by so much, all others by 1. So that a choice by time can be tested.
static const char* given_times() { return getenv("OSSMARK_EMULATOR_TIMES"); }
static double given_ms;

static double time_of(const std::string& kernel) {
    std::string all = "," + std::string(given_times());
    size_t at = all.find("," + kernel + "=");
    return at == std::string::npos ? 1 : atof(all.c_str() + at + kernel.size() + 2);
}

static Result launched(const std::function<void()>& run) {
    if (++launches >= breaks_at() || faulted) return LAUNCH_FAILED;
    queue.push_back(run);
    return OK;
}

static bool is_pinned(const void* p) {
    auto after = pinned.upper_bound((uintptr_t)p);
    if (after == pinned.begin()) return false;
    --after;
    return (uintptr_t)p < after->first + after->second;
}

extern "C" {

Result cuInit(unsigned) { return OK; }
Result cuDriverGetVersion(int* v) {
    if (getenv("OSSMARK_EMULATOR_STUB")) return STUB_LIBRARY;
    const char* set = getenv("OSSMARK_EMULATOR_DRIVER");
    *v = set ? atoi(set) : 13000;
    return OK;
}
// All devices share the memory and the queue: what is tested with several is who is asked, not that they are apart.
Result cuDeviceGetCount(int* n) {
    const char* set = getenv("OSSMARK_EMULATOR_DEVICES");
    *n = set ? atoi(set) : 1;
    return OK;
}
Result cuDeviceGet(int* device, int ordinal) {
    *device = ordinal;
    return OK;
}
Result cuDeviceGetName(char* name, int len, int) {
    snprintf(name, len, "ossmark emulator (no GPU)");
    return OK;
}
Result cuDeviceGetAttribute(int* v, int attribute, int) {
    const char* capability = getenv("OSSMARK_EMULATOR_CAPABILITY");
    int sm = capability ? atoi(capability) : 90;
    // Compute capability major and minor, multiprocessors, shared memory a block may ask for.
    *v = attribute == 75 ? sm / 10 : attribute == 76 ? sm % 10 : attribute == 16 ? 4 : attribute == 97 ? 232448 : 0;
    return OK;
}
// With OSSMARK_EMULATOR_CONTEXTS, says when a context is made: that costs a device half a second and more.
static int retained;
Result cuDeviceTotalMem_v2(size_t* bytes, int) {
    *bytes = total_memory();
    return OK;
}
Result cuDevicePrimaryCtxRetain(void** ctx, int) {
    LOCKED;
    if (retained++ == 0 && getenv("OSSMARK_EMULATOR_CONTEXTS")) fprintf(stderr, "emulator: a context is made\n");
    *ctx = (void*)1;
    return OK;
}
Result cuDevicePrimaryCtxRelease_v2(int) {
    LOCKED;
    if (retained == 0) return INVALID_VALUE;
    --retained;
    return OK;
}
Result cuCtxSetCurrent(void*) { return OK; }
Result cuMemGetInfo_v2(size_t* free, size_t* total) {
    LOCKED;
    *total = total_memory();
    *free = *total - used;
    return OK;
}
Result cuMemAlloc_v2(uintptr_t* p, size_t bytes) {
    LOCKED;
    NOT_WHILE_CAPTURING;
    if (bytes == 0) return INVALID_VALUE;
    if (used + bytes > total_memory()) return OUT_OF_MEMORY;
    // Ends, but for the last 16 bytes' alignment, at a page that faults.
    size_t padded = (bytes + 15) / 16 * 16, pages = (padded + 4095) / 4096 * 4096;
    void* map = mmap(nullptr, pages + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED) return OUT_OF_MEMORY;
    mprotect((char*)map + pages, 4096, PROT_NONE);
    *p = (uintptr_t)map + pages - padded;
    if (bytes < (64u << 20)) memset((void*)*p, 0xff, padded);
    device_memory[*p] = {map, pages + 4096, bytes};
    used += bytes;
    return OK;
}
Result cuMemFree_v2(uintptr_t p) {
    LOCKED;
    NOT_WHILE_CAPTURING;
    drain();
    auto at = device_memory.find(p);
    if (at == device_memory.end()) return INVALID_VALUE;
    munmap(at->second.map, at->second.mapped);
    used -= at->second.bytes;
    device_memory.erase(at);
    return OK;
}
Result cuMemHostAlloc(void** p, size_t bytes, unsigned) {
    LOCKED;
    NOT_WHILE_CAPTURING;
    *p = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    pinned[(uintptr_t)*p] = bytes;
    return OK;
}
Result cuMemFreeHost(void* p) {
    LOCKED;
    NOT_WHILE_CAPTURING;
    drain();
    pinned.erase((uintptr_t)p);
    free(p);
    return OK;
}
Result cuMemcpyHtoDAsync_v2(uintptr_t to, const void* from, size_t bytes, void*) {
    LOCKED;
    NOT_WHILE_CAPTURING;
    NOT_NOTHING(bytes);
    if (is_pinned(from)) {
        queue.push_back([=] { memcpy((void*)to, from, bytes); });
    } else {
        std::string copy((const char*)from, bytes);
        queue.push_back([=] { memcpy((void*)to, copy.data(), bytes); });
    }
    return OK;
}
Result cuMemcpyHtoD_v2(uintptr_t to, const void* from, size_t bytes) {
    LOCKED;
    NOT_WHILE_CAPTURING;
    NOT_NOTHING(bytes);
    Result r = drain();
    memcpy((void*)to, from, bytes);
    return r;
}
Result cuMemcpyDtoHAsync_v2(void* to, uintptr_t from, size_t bytes, void*) {
    LOCKED;
    NOT_WHILE_CAPTURING;
    NOT_NOTHING(bytes);
    if (!is_pinned(to)) drain();
    queue.push_back([=] { memcpy(to, (const void*)from, bytes); });
    return is_pinned(to) ? OK : drain();
}
Result cuMemcpyDtoH_v2(void* to, uintptr_t from, size_t bytes) {
    LOCKED;
    NOT_WHILE_CAPTURING;
    NOT_NOTHING(bytes);
    Result r = drain();
    memcpy(to, (const void*)from, bytes);
    return r;
}
Result cuMemsetD8Async(uintptr_t to, unsigned char v, size_t n, void*) {
    LOCKED;
    NOT_WHILE_CAPTURING;
    NOT_NOTHING(n);
    queue.push_back([=] { memset((void*)to, v, n); });
    return OK;
}
Result cuStreamCreate(void** s, unsigned) {
    *s = (void*)2;
    return OK;
}
Result cuStreamDestroy_v2(void*) { return OK; }
Result cuStreamSynchronize(void*) {
    LOCKED;
    NOT_WHILE_CAPTURING;
    return drain();
}
Result cuEventCreate(void** e, unsigned) {
    *e = malloc(sizeof(timespec));
    return OK;
}
Result cuEventDestroy_v2(void* e) {
    LOCKED;
    drain();
    free(e);
    return OK;
}
Result cuEventRecord(void* e, void*) {
    LOCKED;
    NOT_WHILE_CAPTURING;
    queue.push_back([=] {
        auto* at = (timespec*)e;
        if (!given_times()) {
            clock_gettime(CLOCK_MONOTONIC, at);
            return;
        }
        at->tv_sec = (time_t)(given_ms / 1e3);
        at->tv_nsec = (long)((given_ms - at->tv_sec * 1e3) * 1e6);
    });
    return OK;
}
Result cuEventSynchronize(void*) {
    LOCKED;
    NOT_WHILE_CAPTURING;
    return drain();
}
Result cuEventElapsedTime_v2(float* ms, void* from, void* to) {
    LOCKED;
    drain();
    auto *a = (timespec*)from, *b = (timespec*)to;
    *ms = (b->tv_sec - a->tv_sec) * 1e3f + (b->tv_nsec - a->tv_nsec) * 1e-6f;
    return OK;
}
Result cuEventElapsedTime(float* ms, void* from, void* to) { return cuEventElapsedTime_v2(ms, from, to); }
Result cuModuleLoadData(void** m, const void*) {
    *m = (void*)3;
    return OK;
}
Result cuModuleUnload(void*) { return OK; }
Result cuModuleGetFunction(void** f, void*, const char* name) {
    for (auto& k : emulator::kernels()) {
        if (k.name == name) {
            *f = (void*)&k;
            return OK;
        }
    }
    return NOT_FOUND;
}
Result cuFuncSetAttribute(void*, int, int) { return OK; }
Result cuLaunchKernel(void* f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                      unsigned shared, void*, void** params, void**) {
    LOCKED;
    auto* kernel = (const emulator::Kernel*)f;
    // More threads than a kernel was compiled for are refused, whatever its registers are.
    if (gx == 0 || gy == 0 || gz == 0 || gy > 65535 || gz > 65535 || bx * by * bz == 0 || bx * by * bz > kernel->threads) return INVALID_VALUE;
    auto run = kernel->bind(params);
    const std::string& name = kernel->name;
    bool skipped = names("OSSMARK_EMULATOR_SKIPS", name), hangs = names("OSSMARK_EMULATOR_HANGS", name);
    bool faults = names("OSSMARK_EMULATOR_FAULTS", name);
    double ms = given_times() ? time_of(name) : 0;
    auto all = [=] {
        while (hangs) sleep(1);
        faulted |= faults;
        given_ms += ms;
        if (!skipped && !faults) emulator::run({gx, gy, gz}, {bx, by, bz}, shared, run);
    };
    if (!capturing) return launched(all);
    captured.push_back(all);
    return OK;
}
// CUlaunchConfig and its attributes, as far as ossmark uses them.
struct LaunchAttribute {
    int id;
    char pad[4];
    union {
        char bytes[64];
        int allowed;
    } value;
};
struct LaunchConfig {
    unsigned grid[3], block[3], shared;
    void* stream;
    LaunchAttribute* attributes;
    unsigned n;
};
Result cuLaunchKernelEx(const LaunchConfig* c, void* f, void** params, void** extra) {
    // Programmatic stream serialization; what it allows is not used here, and that it could be is checked at each thread's end.
    if (c->n > 0 && getenv("OSSMARK_EMULATOR_OVERLAP")) return INVALID_VALUE;
    if (c->n > 1 || (c->n == 1 && (c->attributes->id != 6 || c->attributes->value.allowed != 1))) return INVALID_VALUE;
    return cuLaunchKernel(f, c->grid[0], c->grid[1], c->grid[2], c->block[0], c->block[1], c->block[2], c->shared, c->stream,
                          params, extra);
}
Result cuStreamBeginCapture_v2(void*, int) {
    LOCKED;
    if (capturing || graphs_are("fail")) return CAPTURE_UNSUPPORTED;
    capturing = true;
    capture_broken = false;
    captured.clear();
    return OK;
}
Result cuStreamEndCapture(void*, void** graph) {
    LOCKED;
    *graph = nullptr;
    if (!capturing) return INVALID_VALUE;
    capturing = false;
    if (capture_broken) return CAPTURE_INVALIDATED;
    *graph = new Graph(captured);
    return OK;
}
Result cuGraphInstantiateWithFlags(void** exec, void* graph, unsigned long long) {
    auto& launches = *(Graph*)graph;
    *exec = new GraphExec{launches, graph_bytes(launches.size()), false};
    return OK;
}
Result cuGraphDestroy(void* graph) {
    delete (Graph*)graph;
    return OK;
}
// What the first launch does otherwise.
Result cuGraphUpload(void* exec, void*) {
    LOCKED;
    NOT_WHILE_CAPTURING;
    auto* graph = (GraphExec*)exec;
    if (graph->uploaded) return OK;
    if (used + graph->bytes > total_memory()) return OUT_OF_MEMORY;
    used += graph->bytes;
    graph->uploaded = true;
    return OK;
}
Result cuGraphExecDestroy(void* exec) {
    LOCKED;
    drain();
    auto* graph = (GraphExec*)exec;
    if (graph->uploaded) used -= graph->bytes;
    delete graph;
    return OK;
}
Result cuGraphLaunch(void* exec, void* stream) {
    LOCKED;
    NOT_WHILE_CAPTURING;
    Result there = cuGraphUpload(exec, stream);
    if (there != OK) return there;
    if (graphs_are("skip")) return OK;
    for (auto& run : ((GraphExec*)exec)->launches) {
        if (launched(run) != OK) return LAUNCH_FAILED;
    }
    return OK;
}
Result cuGetErrorName(int e, const char** s) {
    *s = e == OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : e == LAUNCH_FAILED ? "CUDA_ERROR_LAUNCH_FAILED" : "CUDA_ERROR_EMULATED";
    return OK;
}
Result cuGetErrorString(int, const char** s) {
    *s = "the emulator says so";
    return OK;
}

Result nvrtcVersion(int* major, int* minor) {
    *major = 13;
    *minor = 0;
    return OK;
}
Result nvrtcCreateProgram(void** p, const char*, const char*, int, const char* const*, const char* const*) {
    *p = (void*)4;
    return OK;
}
Result nvrtcDestroyProgram(void**) { return OK; }
Result nvrtcCompileProgram(void*, int, const char* const*) { return OK; }
Result nvrtcGetPTXSize(void*, size_t* n) {
    *n = 1;
    return OK;
}
Result nvrtcGetPTX(void*, char* ptx) {
    *ptx = 0;
    return OK;
}
Result nvrtcGetProgramLogSize(void*, size_t* n) { return nvrtcGetPTXSize(nullptr, n); }
Result nvrtcGetProgramLog(void*, char* log) { return nvrtcGetPTX(nullptr, log); }
const char* nvrtcGetErrorString(Result) { return "the emulator says so"; }
}
