#pragma once

#include <cstdint>
#include <vector>

#include "storage/base/result.h"

namespace signum {

// The upper triangular U [n, n] with (H + damping · I)⁻¹ = Uᵀ U, for H [n, n] symmetric and
// positive semidefinite, row-major float32: what GPTQ (arXiv 2210.17323, step 3) feeds errors back
// by. Blocked, so that most of the work is matrix products. Errc::kUnusable not_positive where H is
// not.
Result<std::vector<float>> InverseFactor(const std::vector<float>& h, int64_t n, double damping);

}  // namespace signum
