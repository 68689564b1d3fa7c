#pragma once

#include <cstdint>

namespace signum::ops {

// y = silu(gate) ⊙ up with silu(g) = g / (1 + exp(-g)) (arXiv 2002.05202), n elements each.
struct SwigluArgs {
  const float* gate = nullptr;
  const float* up = nullptr;
  float* y = nullptr;
  int64_t n = 0;
};
void Swiglu(const SwigluArgs& args);

// dgate and dup for dy. Either may be dy.
struct SwigluBackwardArgs {
  const float* dy = nullptr;
  const float* gate = nullptr;
  const float* up = nullptr;
  float* dgate = nullptr;
  float* dup = nullptr;
  int64_t n = 0;
};
void SwigluBackward(const SwigluBackwardArgs& args);

}  // namespace signum::ops
