#pragma once

#include <vector>

#include "storage/base/result.h"

namespace signum {

// What one way of storing a tensor takes and leaves.
struct Cost {
  uint64_t bytes = 0;
  double error = 0;
};

// Chooses one of each tensor's options (at least one each) so that their bytes together stay within
// `budget`: from the smallest of each, the step that takes away most error per byte is made first,
// and so on, as long as steps fit. Steps of a tensor lie on the lower convex hull of its options,
// so a small step that gains little never hides a larger one that gains more. Returns the chosen
// options' indices. Errc::kUnusable budget_too_small.
Result<std::vector<size_t>> Allocate(const std::vector<std::vector<Cost>>& options,
                                     uint64_t budget);

}  // namespace signum
