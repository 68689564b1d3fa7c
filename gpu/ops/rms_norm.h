#pragma once

#include <cstdint>

namespace signum::ops {

// RMSNorm (Zhang and Sennrich, arXiv 1910.07467, eq. 4) over rows of n:
//   y = x / rms(x) ⊙ w,   rms(x) = sqrt(mean(x²) + eps)
// x, y [rows, n], w [n]; inverse [rows] receives 1 / rms for the backward pass. y may be x.
struct RmsNormArgs {
  const float* x = nullptr;
  const float* w = nullptr;
  float* y = nullptr;
  float* inverse = nullptr;
  int64_t rows = 0, n = 0;
  float eps = 0;
};
void RmsNorm(const RmsNormArgs& args);

// dx (+)= ∂L/∂x for dy = ∂L/∂y; the weights w are not trained. dx may be dy where not
// `accumulate`.
struct RmsNormBackwardArgs {
  const float* dy = nullptr;
  const float* x = nullptr;
  const float* w = nullptr;
  const float* inverse = nullptr;
  float* dx = nullptr;
  int64_t rows = 0, n = 0;
  bool accumulate = false;
};
void RmsNormBackward(const RmsNormBackwardArgs& args);

}  // namespace signum::ops
