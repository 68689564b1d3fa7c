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

// softmax(z)_i = expf(z_i - top) / sum, with the same expf in both, so that what it errs by
// cancels.
struct Softmax {
  Top top;
  double sum;

  __device__ double Log() const {
    return static_cast<double>(top.value) + log(sum);
  }  // log Σ exp z
};

__device__ Softmax MakeSoftmax(const float* z, int64_t n, Shared& shared) {
  Softmax out;
  out.top = BlockTop(z, n, shared.tops);
  double sum = 0;
  for (int64_t i = threadIdx.x; i < n; i += kThreads) {
    sum += static_cast<double>(expf(z[i] - out.top.value));
  }
  out.sum = BlockSum(sum, shared.sums);
  return out;
}

__device__ double SquaredDistance(const float* z, const float* t, int64_t n, Shared& shared) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < n; i += kThreads) {
    const double difference = static_cast<double>(z[i]) - static_cast<double>(t[i]);
    sum += difference * difference;
  }
  return BlockSum(sum, shared.sums);
}

// Σ softmax(t)_i ((t_i - log_t) - (z_i - log_z)).
__device__ double Kl(const float* z, const float* t, int64_t n, const Softmax& of_z,
                     const Softmax& of_t, Shared& shared) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < n; i += kThreads) {
    sum += static_cast<double>(expf(t[i] - of_t.top.value)) *
           (static_cast<double>(t[i]) - static_cast<double>(z[i]));
  }
  return BlockSum(sum, shared.sums) / of_t.sum - (of_t.Log() - of_z.Log());
}

__global__ void __launch_bounds__(kThreads) MseRow(ops::LossArgs args, float scale) {
  __shared__ Shared shared;
  float* z = args.student + blockIdx.x * args.vocabulary;
  const float* t = args.teacher + blockIdx.x * args.vocabulary;
  double sum = 0;
  for (int64_t i = threadIdx.x; i < args.vocabulary; i += kThreads) {
    const double difference = static_cast<double>(z[i]) - static_cast<double>(t[i]);
    sum += difference * difference;
    z[i] = (z[i] - t[i]) * scale;
  }
  sum = BlockSum(sum, shared.sums);
  if (threadIdx.x == 0) args.sums[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kThreads) KlRow(ops::LossArgs args, float scale) {
  __shared__ Shared shared;
  const int64_t n = args.vocabulary;
  float* z = args.student + blockIdx.x * n;
  const float* t = args.teacher + blockIdx.x * n;
  const Softmax of_z = MakeSoftmax(z, n, shared);
  const Softmax of_t = MakeSoftmax(t, n, shared);
  const double kl = Kl(z, t, n, of_z, of_t, shared);  // each thread has read its z by then
  if (threadIdx.x == 0) args.sums[blockIdx.x] = kl;
  const auto z_share = static_cast<float>(1 / of_z.sum);
  const auto t_share = static_cast<float>(1 / of_t.sum);
  for (int64_t i = threadIdx.x; i < n; i += kThreads) {
    z[i] = (expf(z[i] - of_z.top.value) * z_share - expf(t[i] - of_t.top.value) * t_share) * scale;
  }
}

__global__ void __launch_bounds__(kThreads) FidelityRow(ops::FidelityArgs args) {
  __shared__ Shared shared;
  const int64_t n = args.vocabulary;
  const float* z = args.student + blockIdx.x * n;
  const float* t = args.teacher + blockIdx.x * n;
  const Softmax of_z = MakeSoftmax(z, n, shared);
  const Softmax of_t = MakeSoftmax(t, n, shared);
  const double squared = SquaredDistance(z, t, n, shared);
  const double kl = Kl(z, t, n, of_z, of_t, shared);
  if (threadIdx.x != 0) return;
  const int32_t target = args.targets[blockIdx.x];
  ops::RowFidelity& out = args.out[blockIdx.x];
  out.squared = squared;
  out.kl = kl;
  out.nll = of_z.Log() - static_cast<double>(z[target]);
  out.teacher_nll = of_t.Log() - static_cast<double>(t[target]);
  out.same_top = of_z.top.index == of_t.top.index;
}

__global__ void __launch_bounds__(kThreads) NllRow(ops::NllArgs args) {
  __shared__ Shared shared;
  const float* z = args.logits + blockIdx.x * args.vocabulary;
  const int32_t target = args.targets[blockIdx.x];
  const bool known = target >= 0 && target < args.vocabulary;
  const double log_z = MakeSoftmax(z, args.vocabulary, shared).Log();
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
