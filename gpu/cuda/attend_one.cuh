#pragma once

#include "gpu/cuda/attention.cuh"

// One query of one head against the keys of its sequence, by a whole block. Each warp takes every
// eighth stretch of 32 keys: it reads a key as one piece, the lanes add up the dot product
// together, and lane j keeps the score of key j. At the end the warps' softmaxes become one. So the
// order of sums is a function of the keys' numbers alone.

namespace signum::cuda {

// Where keys and values lie that follow one another, `stride` elements apart.
struct Contiguous {
  int64_t first, stride;
  int64_t at = 0;  // of the key that Begin named

  __device__ void Begin(int64_t key, int64_t /*end*/) { at = first + key * stride; }
  // Of the j-th key from there; the whole warp calls.
  __device__ int64_t operator[](int j) const { return at + j * stride; }
};

template <int kDim>
__device__ void LoadLane(const float* from, int64_t dim, float* out) {
#pragma unroll
  for (int i = 0; i < kDim / kTile; ++i) {
    const int e = static_cast<int>(LaneOf()) + i * kTile;
    out[i] = e < dim ? from[e] : 0.0F;
  }
}

// The lane's score of key first + lane; keys from `end` on are not read.
template <int kDim, class Places>
__device__ float Scores(const float* q, const float* keys, const Places& places, int64_t first,
                        int64_t end, int64_t dim) {
  float score = 0;
#pragma unroll 4
  for (int j = 0; j < kTile && first + j < end; ++j) {
    float key[kDim / kTile];
    LoadLane<kDim>(keys + places[j], dim, key);
    float sum = 0;
#pragma unroll
    for (int i = 0; i < kDim / kTile; ++i) sum = fmaf(q[i], key[i], sum);
    sum = WarpSum(sum);
    if (static_cast<int>(LaneOf()) == j) score = sum;
  }
  return score;
}

template <int kDim, class Places>
__device__ void AddValues(float weight, const float* values, const Places& places, int64_t first,
                          int64_t end, int64_t dim, float* sums) {
#pragma unroll 4
  for (int j = 0; j < kTile && first + j < end; ++j) {
    const float w = __shfl_sync(kWholeWarp, weight, j);
    float value[kDim / kTile];
    LoadLane<kDim>(values + places[j], dim, value);
#pragma unroll
    for (int i = 0; i < kDim / kTile; ++i) sums[i] = fmaf(w, value[i], sums[i]);
  }
}

// out = softmax(q kᵀ / sqrt(dim)) v over keys [begin, end), of which there is one at least; all
// kThreads threads of the block call.
template <int kDim, class Places>
__device__ void AttendOne(const float* query, const float* k, const float* v, float* out,
                          int64_t begin, int64_t end, int64_t dim, Places places) {
  __shared__ float most[kWarps];
  __shared__ float total[kWarps];
  __shared__ float parts[kWarps][kDim];
  const float scale = 1.0F / sqrtf(static_cast<float>(dim));
  float q[kDim / kTile];
  LoadLane<kDim>(query, dim, q);
  Running softmax;
  float sums[kDim / kTile] = {};
  for (int64_t key = begin + WarpOf() * kTile; key < end; key += kWarps * kTile) {
    places.Begin(key, end);
    const float score = scale * Scores<kDim>(q, k, places, key, end, dim);
    float factor;
    const float weight = softmax.Weigh(score, key + LaneOf() < end, &factor);
    for (float& sum : sums) sum *= factor;
    AddValues<kDim>(weight, v, places, key, end, dim, sums);
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
  for (int64_t e = threadIdx.x; e < dim; e += kThreads) {
    float value = 0;
    for (unsigned w = 0; w < kWarps; ++w) value += parts[w][e] * expf(most[w] - top);
    out[e] = value / sum;
  }
}

}  // namespace signum::cuda
