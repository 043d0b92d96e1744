// All kernels by name. Tests only.
#define OSSMARK_EMULATED
#include "kernels.h"

// Includes every kernels/*.cu, and names every kernel; written by whoever builds this.
#include "all_kernels.h"

namespace emulator {

template <typename A>
static Kernel take(const char* name, unsigned threads, void (*kernel)(A)) {
    return {name, threads, [kernel](void** params) {
                // Copied at launch, as the driver does.
                auto args = *(typename std::remove_const<A>::type*)params[0];
                return std::function<void()>([kernel, args] { kernel(args); });
            }};
}

const std::vector<Kernel>& kernels() {
#define TAKE(name, threads) take(#name, threads, ::name),
    static const std::vector<Kernel> all = {ALL_KERNELS};
    return all;
}

}  // namespace emulator
