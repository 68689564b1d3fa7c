#include "gpu/ops/sample.h"

#include <algorithm>
#include <vector>

#include "gpu/ops/exp.h"

namespace signum::ops {

void Sample(const SampleArgs& args) {
  const int64_t n = args.vocabulary;
  std::vector<float> weights(static_cast<size_t>(n));
  for (int64_t r = 0; r < args.rows; ++r) {
    const float* z = args.logits + r * n;
    const int64_t top = std::max_element(z, z + n) - z;
    args.tokens[r] = static_cast<int32_t>(top);
    if (args.temperature <= 0) continue;
    const float scale = 1.0F / args.temperature;
    for (int64_t i = 0; i < n; ++i) weights[static_cast<size_t>(i)] = Exp((z[i] - z[top]) * scale);
    double total = 0;
    for (const float weight : weights) total += double{weight};
    double left = double{args.uniform[r]} * total;
    for (int64_t i = 0; i < n; ++i) {
      left -= double{weights[static_cast<size_t>(i)]};
      if (left >= 0) continue;
      args.tokens[r] = static_cast<int32_t>(i);
      break;
    }
  }
}

}  // namespace signum::ops
