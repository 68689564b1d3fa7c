#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace signum::kernels {

// Which implementation of the kernels runs. By default the best the CPU has; the environment
// variable SIGNUM_SIMD (read once, at the first kernel) or SetSimd() forces one by name: "scalar"
// is the plain C++ reference, the others are Highway targets in lower case ("ssse3", "sse4",
// "avx2", "avx3"). All give the same bits, so this is for tests and timing.

// Returns false, and changes nothing, where this build or CPU lacks `name`. "" is the default. Not
// to be called while kernels run.
bool SetSimd(std::string_view name);
// The implementations that SetSimd() takes here, "scalar" first.
std::vector<std::string> SimdNames();
// The one in use.
std::string SimdName();

// For kernels: true where the reference is to run.
bool UseReference();

}  // namespace signum::kernels
