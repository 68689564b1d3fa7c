#include "gpu/cuda/device.cuh"
#include "gpu/cuda/ops.cuh"

// A thread an element, in a loop over the grid. expf of a gate far below 0 is infinite, and the
// quotient then 0, as it should be.

namespace signum::cuda {
namespace {

__global__ void __launch_bounds__(kThreads) Forward(ops::SwigluArgs args) {
  for (int64_t i = GlobalThread(); i < args.n; i += GridThreads()) {
    const float g = args.gate[i];
    args.y[i] = g / (1.0F + expf(-g)) * args.up[i];
  }
}

// silu'(g) = σ(g) (1 + g (1 - σ(g))). All of i is read before any of it is written: dgate or dup
// may be dy.
__global__ void __launch_bounds__(kThreads) Backward(ops::SwigluBackwardArgs args) {
  for (int64_t i = GlobalThread(); i < args.n; i += GridThreads()) {
    const float g = args.gate[i];
    const float dy = args.dy[i];
    const float up = args.up[i];
    const float sigmoid = 1.0F / (1.0F + expf(-g));
    args.dup[i] = dy * g * sigmoid;
    args.dgate[i] = dy * up * sigmoid * (1.0F + g * (1.0F - sigmoid));
  }
}

}  // namespace

void Swiglu(Context& context, const ops::SwigluArgs& args) {
  context.Launch("Swiglu", context.BlocksFor(args.n, kThreads), kThreads, Forward, args);
}

void SwigluBackward(Context& context, const ops::SwigluBackwardArgs& args) {
  context.Launch("SwigluBackward", context.BlocksFor(args.n, kThreads), kThreads, Backward, args);
}

}  // namespace signum::cuda
