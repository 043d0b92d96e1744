#pragma once
#include "emulation.h"

#include <functional>

namespace emulator {
// Until that phase of a barrier is over.
void wait_at(uint32_t barrier, uint32_t parity);
void run(Index3 grid, Index3 block, size_t shared_bytes, const std::function<void()>& kernel);
}
