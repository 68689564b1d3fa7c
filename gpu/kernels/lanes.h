#pragma once

#include <cstddef>

namespace signum::kernels {

// The reduction order every implementation follows (KERNELS.md, "Reduction order"): columns are
// taken in blocks; within a block, column j adds into float32 lane j mod kLanes, j ascending; the
// lanes of a block are summed by SumLanes; block sums are added in order, in double.
inline constexpr size_t kLanes = 64;
inline constexpr size_t kBlockColumns = 4096;
inline constexpr size_t kGroupRows = 16;  // rows whose column sums are taken in float32

// Binary tree in double: lane l takes lane l + 32, then 16, 8, 4, 2, 1.
inline double SumLanes(const float* lanes) {
  double sum[kLanes / 2];
  for (size_t l = 0; l < kLanes / 2; ++l) {
    sum[l] = static_cast<double>(lanes[l]) + static_cast<double>(lanes[l + kLanes / 2]);
  }
  for (size_t half = kLanes / 4; half > 0; half /= 2) {
    for (size_t l = 0; l < half; ++l) sum[l] += sum[l + half];
  }
  return sum[0];
}

}  // namespace signum::kernels
