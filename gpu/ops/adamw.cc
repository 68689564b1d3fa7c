#include "gpu/ops/adamw.h"

#include <cmath>

namespace signum::ops {

void Adamw(const AdamwArgs& args) {
  const auto step = static_cast<double>(args.step);
  const auto correct1 = static_cast<float>(1.0 / (1.0 - std::pow(double{args.beta1}, step)));
  const auto correct2 = static_cast<float>(1.0 / (1.0 - std::pow(double{args.beta2}, step)));
  for (int64_t i = 0; i < args.n; ++i) {
    const float g = args.gradients[i];
    float& m = args.first[i];
    float& v = args.second[i];
    m = args.beta1 * m + (1.0F - args.beta1) * g;
    v = args.beta2 * v + (1.0F - args.beta2) * g * g;
    float& p = args.parameters[i];
    const float update = m * correct1 / (std::sqrt(v * correct2) + args.epsilon);
    p -= args.learning_rate * (update + args.weight_decay * p);
  }
}

}  // namespace signum::ops
