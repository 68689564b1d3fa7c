#include "gpu/cuda/device.cuh"
#include "gpu/cuda/ops.cuh"

// A block a row. Each warp sums the weights of a stretch of the vocabulary; the warp in whose
// stretch the drawn number falls then walks it 32 tokens at a time.

namespace signum::cuda {
namespace {

__device__ double Weight(float z, float top, float scale) {
  return static_cast<double>(expf((z - top) * scale));
}

// Sums over this lane and those below it.
__device__ double WarpPrefix(double value) {
  for (unsigned by = 1; by < kWarpSize; by *= 2) {
    const double below = __shfl_up_sync(kWholeWarp, value, by);
    if (LaneOf() >= by) value += below;
  }
  return value;
}

// The first token of z[first, end) at which the sum of weights exceeds `left`; `otherwise` where
// rounding leaves none. For a whole warp.
__device__ int Walk(const float* z, int64_t first, int64_t end, double left, float top, float scale,
                    int otherwise) {
  for (int64_t at = first; at < end; at += kWarpSize) {
    const int64_t i = at + LaneOf();
    const double prefix = WarpPrefix(i < end ? Weight(z[i], top, scale) : 0.0);
    const unsigned beyond = __ballot_sync(kWholeWarp, i < end && prefix > left);
    if (beyond != 0) return static_cast<int>(at) + __ffs(static_cast<int>(beyond)) - 1;
    left -= __shfl_sync(kWholeWarp, prefix, kWarpSize - 1);
  }
  return otherwise;
}

__global__ void __launch_bounds__(kThreads) SampleRow(ops::SampleArgs args) {
  __shared__ Top tops[kWarps];
  __shared__ double sums[kWarps];
  const int64_t n = args.vocabulary;
  const float* z = args.logits + blockIdx.x * n;
  const Top top = BlockTop(z, n, tops);
  if (threadIdx.x == 0) args.tokens[blockIdx.x] = top.index;
  if (args.temperature <= 0) return;
  const float scale = 1.0F / args.temperature;
  const int64_t stretch = (n + kWarps - 1) / kWarps;
  const int64_t first = min(n, WarpOf() * stretch);
  const int64_t end = min(n, first + stretch);
  double sum = 0;
  for (int64_t i = first + LaneOf(); i < end; i += kWarpSize) sum += Weight(z[i], top.value, scale);
  sum = WarpSum(sum);
  if (LaneOf() == 0) sums[WarpOf()] = sum;
  __syncthreads();
  double total = 0;
  for (unsigned w = 0; w < kWarps; ++w) total += sums[w];
  double left = static_cast<double>(args.uniform[blockIdx.x]) * total;
  unsigned drawn = 0;
  while (drawn < kWarps && left >= sums[drawn]) left -= sums[drawn++];
  if (WarpOf() != drawn) return;
  const int token = Walk(z, first, end, left, top.value, scale, top.index);
  // Thread 0's write above lies before the barrier, so this one comes last.
  if (LaneOf() == 0) args.tokens[blockIdx.x] = token;
}

}  // namespace

void Sample(Context& context, const ops::SampleArgs& args) {
  context.Launch("Sample", args.rows, kThreads, SampleRow, args);
}

}  // namespace signum::cuda
