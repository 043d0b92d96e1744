#pragma once
#include <functional>
#include <string>
#include <type_traits>
#include <vector>

namespace emulator {
struct Kernel {
    std::string name;
    // Most threads of a block, as its __launch_bounds__ say.
    unsigned threads;
    // From the launch's parameters to what each thread runs.
    std::function<std::function<void()>(void** params)> bind;
};
const std::vector<Kernel>& kernels();
}  // namespace emulator
