#include "gpu/cuda/device.cuh"
#include "gpu/cuda/ops.cuh"

// A block a row: one pass for the sum in double, one for the values, which the first pass left in
// the cache.

namespace signum::cuda {
namespace {

__global__ void __launch_bounds__(kThreads) ForwardRow(ops::RmsNormArgs args) {
  __shared__ double shared[kWarps];
  const int64_t r = blockIdx.x;
  const float* x = args.x + r * args.n;
  float* y = args.y + r * args.n;
  double sum = 0;
  for (int64_t i = threadIdx.x; i < args.n; i += kThreads) {
    sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  }
  const double mean = BlockSum(sum, shared) / static_cast<double>(args.n);
  const auto inverse = static_cast<float>(1.0 / sqrt(mean + static_cast<double>(args.eps)));
  if (threadIdx.x == 0) args.inverse[r] = inverse;
  for (int64_t i = threadIdx.x; i < args.n; i += kThreads) y[i] = x[i] * inverse * args.w[i];
}

// With g = dy ⊙ w and x̂ = x / rms:  dx = (g - x̂ mean(g ⊙ x̂)) / rms. A thread reads only places of
// dy that it writes itself, so dx may be dy.
__global__ void __launch_bounds__(kThreads) BackwardRow(ops::RmsNormBackwardArgs args) {
  __shared__ double shared[kWarps];
  const int64_t r = blockIdx.x;
  const float* dy = args.dy + r * args.n;
  const float* x = args.x + r * args.n;
  float* dx = args.dx + r * args.n;
  double dot = 0;
  for (int64_t i = threadIdx.x; i < args.n; i += kThreads) {
    dot += static_cast<double>(dy[i] * args.w[i]) * static_cast<double>(x[i]);
  }
  dot = BlockSum(dot, shared);
  const float inverse = args.inverse[r];
  const auto mean = static_cast<float>(dot / static_cast<double>(args.n));
  const float common = mean * inverse * inverse;
  for (int64_t i = threadIdx.x; i < args.n; i += kThreads) {
    const float value = (dy[i] * args.w[i] - x[i] * common) * inverse;
    dx[i] = args.accumulate ? dx[i] + value : value;
  }
}

}  // namespace

void RmsNorm(Context& context, const ops::RmsNormArgs& args) {
  context.Launch("RmsNorm", args.rows, kThreads, ForwardRow, args);
}

void RmsNormBackward(Context& context, const ops::RmsNormBackwardArgs& args) {
  context.Launch("RmsNormBackward", args.rows, kThreads, BackwardRow, args);
}

}  // namespace signum::cuda
