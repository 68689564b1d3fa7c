#include "gpu/cuda/attention.cuh"
#include "gpu/cuda/ops.cuh"

// A block a head of a sequence. Each warp takes every eighth stretch of 32 keys: it reads a key as
// one piece, the lanes add up the dot product together, and lane j keeps the score of key j. At the
// end the warps' softmaxes become one.

namespace signum::cuda {
namespace {

template <int kDim>
__device__ void LoadLane(const float* from, int64_t dim, float* out) {
#pragma unroll
  for (int i = 0; i < kDim / kTile; ++i) {
    const int e = static_cast<int>(LaneOf()) + i * kTile;
    out[i] = e < dim ? from[e] : 0.0F;
  }
}

// The lane's score of key first + lane; keys from `end` on are not read.
template <int kDim>
__device__ float Scores(const float* q, const float* keys, int64_t stride, int64_t first,
                        int64_t end, int64_t dim) {
  float score = 0;
#pragma unroll 4
  for (int j = 0; j < kTile && first + j < end; ++j) {
    float key[kDim / kTile];
    LoadLane<kDim>(keys + (first + j) * stride, dim, key);
    float sum = 0;
#pragma unroll
    for (int i = 0; i < kDim / kTile; ++i) sum = fmaf(q[i], key[i], sum);
    sum = WarpSum(sum);
    if (static_cast<int>(LaneOf()) == j) score = sum;
  }
  return score;
}

template <int kDim>
__device__ void AddValues(float weight, const float* values, int64_t stride, int64_t first,
                          int64_t end, int64_t dim, float* sums) {
#pragma unroll 4
  for (int j = 0; j < kTile && first + j < end; ++j) {
    const float w = __shfl_sync(kWholeWarp, weight, j);
    float value[kDim / kTile];
    LoadLane<kDim>(values + (first + j) * stride, dim, value);
#pragma unroll
    for (int i = 0; i < kDim / kTile; ++i) sums[i] = fmaf(w, value[i], sums[i]);
  }
}

template <int kDim>
__global__ void __launch_bounds__(kThreads) Decode(ops::DecodeAttentionArgs args) {
  __shared__ float most[kWarps];
  __shared__ float total[kWarps];
  __shared__ float parts[kWarps][kDim];
  ops::AttentionShape s = args.shape;
  s.tokens = args.capacity;
  const HeadAt at = MakeHeadAt(s, blockIdx.x / s.heads, blockIdx.x % s.heads);
  const int64_t place = static_cast<int64_t>(blockIdx.x) * s.head_dim;
  const int64_t begin = FirstKey(s, args.length - 1);
  const float scale = ScoreScale(s);
  float q[kDim / kTile];
  LoadLane<kDim>(args.q + place, s.head_dim, q);
  Running softmax;
  float sums[kDim / kTile] = {};
  for (int64_t key = begin + WarpOf() * kTile; key < args.length; key += kWarps * kTile) {
    const float score =
        scale * Scores<kDim>(q, args.k_cache + at.kv, at.kv_stride, key, args.length, s.head_dim);
    float factor;
    const float weight = softmax.Weigh(score, key + LaneOf() < args.length, &factor);
    for (float& sum : sums) sum *= factor;
    AddValues<kDim>(weight, args.v_cache + at.kv, at.kv_stride, key, args.length, s.head_dim, sums);
  }
  if (LaneOf() == 0) {
    most[WarpOf()] = softmax.most;  // -infinity where the warp had no keys
    total[WarpOf()] = softmax.sum;
  }
  for (int i = 0; i < kDim / kTile; ++i) parts[WarpOf()][LaneOf() + i * kTile] = sums[i];
  __syncthreads();
  float top = -INFINITY;
  for (unsigned w = 0; w < kWarps; ++w) top = fmaxf(top, most[w]);
  float sum = 0;
  for (unsigned w = 0; w < kWarps; ++w) sum += total[w] * expf(most[w] - top);
  for (int64_t e = threadIdx.x; e < s.head_dim; e += kThreads) {
    float value = 0;
    for (unsigned w = 0; w < kWarps; ++w) value += parts[w][e] * expf(most[w] - top);
    args.out[place + e] = value / sum;
  }
}

}  // namespace

void DecodeAttention(Context& context, const ops::DecodeAttentionArgs& args) {
  if (args.length <= 0) return;
  WithDim(context, "DecodeAttention", args.shape, [&](auto dim) {
    constexpr int kDim = decltype(dim)::value;
    context.Launch("DecodeAttention", args.shape.batch * args.shape.heads, kThreads, Decode<kDim>,
                   args);
  });
}

}  // namespace signum::cuda
