#include "gpu/ops/swiglu.h"

#include "gpu/ops/exp.h"

namespace signum::ops {

void Swiglu(const SwigluArgs& args) {
  for (int64_t i = 0; i < args.n; ++i) {
    const float g = args.gate[i];
    args.y[i] = g / (1.0F + Exp(-g)) * args.up[i];
  }
}

// silu'(g) = σ(g) (1 + g (1 - σ(g))).
void SwigluBackward(const SwigluBackwardArgs& args) {
  for (int64_t i = 0; i < args.n; ++i) {
    const float g = args.gate[i];
    const float dy = args.dy[i];
    const float up = args.up[i];
    const float sigmoid = 1.0F / (1.0F + Exp(-g));
    args.dup[i] = dy * g * sigmoid;
    args.dgate[i] = dy * up * sigmoid * (1.0F + g * (1.0F - sigmoid));
  }
}

}  // namespace signum::ops
