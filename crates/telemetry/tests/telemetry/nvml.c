/* A stand-in for libnvidia-ml.so: two GPUs of 300 W and 100 W. What it is compiled with makes it hang or lie. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef int result;
typedef struct gpu *device;
enum { SUCCESS = 0, NOT_SUPPORTED = 3, GPU_IS_LOST = 15, DRIVER_NOT_LOADED = 9, UNKNOWN = 999 };

#define hang() do { for (;;) pause(); } while (0)

static unsigned index_of(device gpu) { return (unsigned)((size_t)gpu - 1); }
static unsigned watts_of(device gpu) { return index_of(gpu) ? 100 : 300; }

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

result nvmlInit_v2(void) {
#ifdef HANG_INIT
    hang();
#endif
#ifdef NO_DRIVER
    return DRIVER_NOT_LOADED;
#endif
#ifdef BROKEN
    return UNKNOWN;
#endif
    return SUCCESS;
}
result nvmlShutdown(void) {
#ifdef HANG_SHUTDOWN
    hang();
#endif
    return SUCCESS;
}
const char *nvmlErrorString(result r) { (void)r; return "an error"; }
result nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return SUCCESS; }
result nvmlDeviceGetHandleByIndex_v2(unsigned index, device *gpu) {
#ifdef LOST
    if (index == 1) return GPU_IS_LOST;
#endif
    *gpu = (device)(size_t)(index + 1);
    return SUCCESS;
}
result nvmlDeviceGetName(device gpu, char *name, unsigned length) {
    (void)gpu;
    snprintf(name, length, "Fake GPU");
    return SUCCESS;
}
result nvmlDeviceGetUUID(device gpu, char *uuid, unsigned length) {
    snprintf(uuid, length, "GPU-%u", index_of(gpu));
    return SUCCESS;
}
result nvmlDeviceGetPowerUsage(device gpu, unsigned *milliwatts) {
#ifdef HANG_LATER
    static int calls;
    if (++calls > 6) hang();
#endif
    *milliwatts = watts_of(gpu) * 1000;
#ifdef LIE
    if (index_of(gpu) == 1) *milliwatts = 0xffffffffu;
#endif
    return SUCCESS;
}
result nvmlDeviceGetTotalEnergyConsumption(device gpu, unsigned long long *millijoules) {
#if defined(LIE) || defined(NO_COUNTER)
    (void)gpu, (void)millijoules;
    return NOT_SUPPORTED;
#endif
    *millijoules = (unsigned long long)(now() * watts_of(gpu) * 1000);
    return SUCCESS;
}
result nvmlDeviceGetClockInfo(device gpu, int clock, unsigned *megahertz) {
    (void)gpu;
    *megahertz = clock == 1 ? 1755 : 1;
    return SUCCESS;
}
result nvmlDeviceGetTemperature(device gpu, int sensor, unsigned *celsius) {
    (void)gpu, (void)sensor;
    *celsius = 61;
    return SUCCESS;
}
struct memory { unsigned version; unsigned long long total, reserved, free, used; };
result nvmlDeviceGetMemoryInfo_v2(device gpu, struct memory *memory) {
    (void)gpu;
    memory->total = 2ull << 30, memory->reserved = 0, memory->free = 1ull << 30, memory->used = 1ull << 30;
    return SUCCESS;
}
struct utilization { unsigned gpu, memory; };
result nvmlDeviceGetUtilizationRates(device gpu, struct utilization *u) {
    (void)gpu;
    u->gpu = 97, u->memory = 50;
    return SUCCESS;
}
result nvmlDeviceGetCurrentClocksThrottleReasons(device gpu, unsigned long long *reasons) {
    /* The power cap, and a bit that no version knows. */
    *reasons = index_of(gpu) ? 0 : 4 | 1ull << 60;
    return SUCCESS;
}
