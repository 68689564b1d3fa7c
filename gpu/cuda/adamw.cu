#include <cmath>

#include "gpu/cuda/device.cuh"
#include "gpu/cuda/ops.cuh"

// A thread a parameter. The corrections are computed once, on the host; without contraction (the
// build sets -fmad=false) the bits are the CPU's.

namespace signum::cuda {
namespace {

__global__ void __launch_bounds__(kThreads)
    Step(ops::AdamwArgs args, float correct1, float correct2) {
  for (int64_t i = GlobalThread(); i < args.n; i += GridThreads()) {
    const float g = args.gradients[i];
    const float m = args.beta1 * args.first[i] + (1.0F - args.beta1) * g;
    const float v = args.beta2 * args.second[i] + (1.0F - args.beta2) * g * g;
    args.first[i] = m;
    args.second[i] = v;
    const float p = args.parameters[i];
    const float update = m * correct1 / (sqrtf(v * correct2) + args.epsilon);
    args.parameters[i] = p - args.learning_rate * (update + args.weight_decay * p);
  }
}

float Correction(float beta, int64_t step) {
  return static_cast<float>(1.0 / (1.0 - std::pow(double{beta}, static_cast<double>(step))));
}

}  // namespace

void Adamw(Context& context, const ops::AdamwArgs& args) {
  context.Launch("Adamw", context.BlocksFor(args.n, kThreads), kThreads, Step, args,
                 Correction(args.beta1, args.step), Correction(args.beta2, args.step));
}

}  // namespace signum::cuda
