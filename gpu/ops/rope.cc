#include "gpu/ops/rope.h"

namespace signum::ops {

void Rope(const RopeArgs& args) {
  const int64_t half = args.head_dim / 2;
  for (int64_t r = 0; r < args.rows; ++r) {
    const int64_t position =
        args.positions != nullptr ? args.positions[r] : args.first_position + r % args.tokens;
    const float* cos = args.cos + position * half;
    const float* sin = args.sin + position * half;
    const float turn = args.inverse ? -1.0F : 1.0F;
    for (int64_t h = 0; h < args.heads; ++h) {
      float* low = args.x + (r * args.heads + h) * args.head_dim;
      float* high = low + half;
      for (int64_t i = 0; i < half; ++i) {
        const float a = low[i];
        const float b = high[i];
        const float s = turn * sin[i];
        low[i] = a * cos[i] - b * s;
        high[i] = b * cos[i] + a * s;
      }
    }
  }
}

}  // namespace signum::ops
