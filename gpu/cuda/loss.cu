#include "gpu/cuda/device.cuh"
#include "gpu/cuda/ops.cuh"

// A block a row. Exponentials in float32, sums in double; a row that a pass before has read comes
// from the cache.

namespace signum::cuda {
namespace {

struct Shared {
  double sums[kWarps];
  Top tops[kWarps];
};

// log Σ exp(z), and the top on the way.
__device__ double LogSumExp(const float* z, int64_t n, Shared& shared, Top* top) {
  *top = BlockTop(z, n, shared.tops);
  double sum = 0;
  for (int64_t i = threadIdx.x; i < n; i += kThreads) {
    sum += static_cast<double>(expf(z[i] - top->value));
  }
  return static_cast<double>(top->value) + log(BlockSum(sum, shared.sums));
}

__device__ double SquaredDistance(const float* z, const float* t, int64_t n, Shared& shared) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < n; i += kThreads) {
    const float difference = z[i] - t[i];
    sum += static_cast<double>(difference * difference);
  }
  return BlockSum(sum, shared.sums);
}

// Σ softmax(t)_i ((t_i - log_t) - (z_i - log_z)).
__device__ double Kl(const float* z, const float* t, int64_t n, double log_z, double log_t,
                     Shared& shared) {
  const auto lt = static_cast<float>(log_t);
  double sum = 0;
  for (int64_t i = threadIdx.x; i < n; i += kThreads) {
    sum += static_cast<double>(expf(t[i] - lt) * (t[i] - z[i]));
  }
  return BlockSum(sum, shared.sums) - (log_t - log_z);
}

__global__ void __launch_bounds__(kThreads) MseRow(ops::LossArgs args, float scale) {
  __shared__ Shared shared;
  float* z = args.student + blockIdx.x * args.vocabulary;
  const float* t = args.teacher + blockIdx.x * args.vocabulary;
  double sum = 0;
  for (int64_t i = threadIdx.x; i < args.vocabulary; i += kThreads) {
    const float difference = z[i] - t[i];
    sum += static_cast<double>(difference * difference);
    z[i] = difference * scale;
  }
  sum = BlockSum(sum, shared.sums);
  if (threadIdx.x == 0) args.sums[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kThreads) KlRow(ops::LossArgs args, float scale) {
  __shared__ Shared shared;
  const int64_t n = args.vocabulary;
  float* z = args.student + blockIdx.x * n;
  const float* t = args.teacher + blockIdx.x * n;
  Top top;
  const double log_z = LogSumExp(z, n, shared, &top);
  const double log_t = LogSumExp(t, n, shared, &top);
  const double kl = Kl(z, t, n, log_z, log_t, shared);  // each thread has read its z by then
  if (threadIdx.x == 0) args.sums[blockIdx.x] = kl;
  const auto lz = static_cast<float>(log_z);
  const auto lt = static_cast<float>(log_t);
  for (int64_t i = threadIdx.x; i < n; i += kThreads) {
    z[i] = (expf(z[i] - lz) - expf(t[i] - lt)) * scale;
  }
}

__global__ void __launch_bounds__(kThreads) FidelityRow(ops::FidelityArgs args) {
  __shared__ Shared shared;
  const int64_t n = args.vocabulary;
  const float* z = args.student + blockIdx.x * n;
  const float* t = args.teacher + blockIdx.x * n;
  Top top_z;
  Top top_t;
  const double log_z = LogSumExp(z, n, shared, &top_z);
  const double log_t = LogSumExp(t, n, shared, &top_t);
  const double squared = SquaredDistance(z, t, n, shared);
  const double kl = Kl(z, t, n, log_z, log_t, shared);
  if (threadIdx.x != 0) return;
  const int32_t target = args.targets[blockIdx.x];
  ops::RowFidelity& out = args.out[blockIdx.x];
  out.squared = squared;
  out.kl = kl;
  out.nll = log_z - static_cast<double>(z[target]);
  out.teacher_nll = log_t - static_cast<double>(t[target]);
  out.same_top = top_z.index == top_t.index;
}

__global__ void __launch_bounds__(kThreads) NllRow(ops::NllArgs args) {
  __shared__ Shared shared;
  const float* z = args.logits + blockIdx.x * args.vocabulary;
  const int32_t target = args.targets[blockIdx.x];
  const bool known = target >= 0 && target < args.vocabulary;
  Top top;
  const double log_z = LogSumExp(z, args.vocabulary, shared, &top);
  if (threadIdx.x != 0) return;
  args.out[blockIdx.x] =
      known ? log_z - static_cast<double>(z[target]) : static_cast<double>(INFINITY);
}

}  // namespace

void LossAndGrad(Context& context, const ops::LossArgs& args) {
  const auto rows = static_cast<double>(args.total_rows);
  if (args.loss == ops::Loss::kMse) {
    const double scale = 2.0 / (rows * static_cast<double>(args.vocabulary));
    context.Launch("Mse", args.rows, kThreads, MseRow, args, static_cast<float>(scale));
  } else {
    context.Launch("Kl", args.rows, kThreads, KlRow, args, static_cast<float>(1.0 / rows));
  }
}

void CompareLogits(Context& context, const ops::FidelityArgs& args) {
  context.Launch("CompareLogits", args.rows, kThreads, FidelityRow, args);
}

void NegativeLogLikelihood(Context& context, const ops::NllArgs& args) {
  context.Launch("NegativeLogLikelihood", args.rows, kThreads, NllRow, args);
}

}  // namespace signum::cuda
