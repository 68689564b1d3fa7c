#include "gpu/cuda/device.cuh"
#include "gpu/cuda/ops.cuh"
#include "gpu/cuda/serve_ops.cuh"

// A block a row: one pass for the sum in double, one for the values, which the first pass left in
// the cache.

namespace signum::cuda {
namespace {

// y = x / rms ⊙ w for n elements, by the whole block; returns 1 / rms.
__device__ float NormRow(const float* x, const float* w, float* y, int64_t n, float eps) {
  __shared__ double shared[kWarps];
  double sum = 0;
  for (int64_t i = threadIdx.x; i < n; i += kThreads) {
    sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  }
  const double mean = BlockSum(sum, shared) / static_cast<double>(n);
  const auto inverse = static_cast<float>(1.0 / sqrt(mean + static_cast<double>(eps)));
  for (int64_t i = threadIdx.x; i < n; i += kThreads) y[i] = x[i] * inverse * w[i];
  return inverse;
}

__global__ void __launch_bounds__(kThreads) ForwardRow(ops::RmsNormArgs args) {
  const int64_t at = blockIdx.x * args.n;
  const float inverse = NormRow(args.x + at, args.w, args.y + at, args.n, args.eps);
  if (threadIdx.x == 0) args.inverse[blockIdx.x] = inverse;
}

__global__ void __launch_bounds__(kThreads) TenantRow(ops::TenantNormArgs args) {
  const int64_t at = blockIdx.x * args.n;
  const ops::NormWeight weight = args.weights[args.tenants[blockIdx.x]];
  NormRow(args.x + at, weight.w, args.y + at, args.n, weight.eps);
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

void TenantNorm(Context& context, const ops::TenantNormArgs& args) {
  context.Launch("TenantNorm", args.rows, kThreads, TenantRow, args);
}

void RmsNormBackward(Context& context, const ops::RmsNormBackwardArgs& args) {
  context.Launch("RmsNormBackward", args.rows, kThreads, BackwardRow, args);
}

}  // namespace signum::cuda
