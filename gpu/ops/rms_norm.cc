#include "gpu/ops/rms_norm.h"

#include <cmath>

namespace signum::ops {

void RmsNorm(const RmsNormArgs& args) {
  for (int64_t r = 0; r < args.rows; ++r) {
    const float* x = args.x + r * args.n;
    float* y = args.y + r * args.n;
    double sum = 0;
    for (int64_t i = 0; i < args.n; ++i) sum += double{x[i]} * double{x[i]};
    const double mean = sum / static_cast<double>(args.n);
    const auto inverse = static_cast<float>(1.0 / std::sqrt(mean + double{args.eps}));
    args.inverse[r] = inverse;
    for (int64_t i = 0; i < args.n; ++i) y[i] = x[i] * inverse * args.w[i];
  }
}

// With g = dy ⊙ w and x̂ = x / rms:  dx = (g - x̂ mean(g ⊙ x̂)) / rms.
void RmsNormBackward(const RmsNormBackwardArgs& args) {
  for (int64_t r = 0; r < args.rows; ++r) {
    const float* dy = args.dy + r * args.n;
    const float* x = args.x + r * args.n;
    float* dx = args.dx + r * args.n;
    const float inverse = args.inverse[r];
    double dot = 0;
    for (int64_t i = 0; i < args.n; ++i) dot += double{dy[i] * args.w[i]} * double{x[i]};
    const auto shared = static_cast<float>(dot / static_cast<double>(args.n)) * inverse * inverse;
    for (int64_t i = 0; i < args.n; ++i) {
      const float value = (dy[i] * args.w[i] - x[i] * shared) * inverse;
      dx[i] = args.accumulate ? dx[i] + value : value;
    }
  }
}

}  // namespace signum::ops
