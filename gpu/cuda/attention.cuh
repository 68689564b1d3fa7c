#pragma once

#include "gpu/cuda/context.cuh"
#include "gpu/cuda/device.cuh"
#include "gpu/ops/attention.h"

// Attention by tiles: a warp owns one vector (a query, or a key) in shared memory, and the block
// reads the other side in tiles of 32 rows. Against a tile each lane takes one row's dot product;
// to add up weighted rows each lane takes every 32nd element. Rows of a tile are one word longer
// than the vectors, so that neither walk meets a bank twice.

namespace signum::cuda {

inline constexpr int kTile = 32;
inline constexpr int64_t kMostHeadDim = 256;

// Vectors are padded with zeros to kDim elements (64, 128 or 256). Shared memory stays below 48
// KiB.
template <int kDim>
struct Tiles {
  static constexpr int kOwners = kDim > 128 ? 4 : 8;  // warps a block
  static constexpr int kEach = kDim / kTile;          // elements a lane
  static constexpr unsigned kBlock = kOwners * kWarpSize;
  using Tile = float[kTile][kDim + 1];
  using Own = float[kOwners][kDim];
};

// Where head `head` of sequence `batch` begins, and how far it is from token to token.
struct HeadAt {
  int64_t q, kv, q_stride, kv_stride;
};
__device__ inline HeadAt MakeHeadAt(const ops::AttentionShape& s, int64_t batch, int64_t head) {
  const int64_t q_stride = s.heads * s.head_dim;
  const int64_t kv_stride = s.kv_heads * s.head_dim;
  const int64_t kv_head = head / (s.heads / s.kv_heads);
  return {batch * s.tokens * q_stride + head * s.head_dim,
          batch * s.tokens * kv_stride + kv_head * s.head_dim, q_stride, kv_stride};
}

__device__ inline int64_t FirstKey(const ops::AttentionShape& s, int64_t query) {
  return s.window > 0 && query >= s.window ? query - s.window + 1 : 0;
}
__device__ inline bool Sees(const ops::AttentionShape& s, int64_t query, int64_t key) {
  return key <= query && key >= FirstKey(s, query);
}
__device__ inline float ScoreScale(const ops::AttentionShape& s) {
  return 1.0F / sqrtf(static_cast<float>(s.head_dim));
}

// Rows [first, first + 32) of `from` into the tile, zeros from row `end` on; the whole block calls.
template <int kDim>
__device__ void LoadTile(typename Tiles<kDim>::Tile& tile, const float* from, int64_t stride,
                         int64_t first, int64_t end, int64_t dim) {
  __syncthreads();  // the tile before is done with
  for (unsigned at = threadIdx.x; at < kTile * kDim; at += Tiles<kDim>::kBlock) {
    const unsigned r = at / kDim;
    const unsigned e = at % kDim;
    tile[r][e] = first + r < end && e < dim ? from[(first + r) * stride + e] : 0.0F;
  }
  __syncthreads();
}

// This warp's vector; zeros where `there` is false. Only the warp itself reads it.
template <int kDim>
__device__ void LoadOwn(float* own, const float* from, bool there, int64_t dim) {
  for (int e = static_cast<int>(LaneOf()); e < kDim; e += kTile) {
    own[e] = there && e < dim ? from[e] : 0.0F;
  }
  __syncwarp();
}

// own · the lane's row of the tile.
template <int kDim>
__device__ float RowDot(const float* own, const typename Tiles<kDim>::Tile& tile) {
  const float* row = tile[LaneOf()];
  float sum = 0;
#pragma unroll 16
  for (int e = 0; e < kDim; ++e) sum = fmaf(own[e], row[e], sum);
  return sum;
}

// sums += Σ_j weight of lane j · row j of the tile.
template <int kDim>
__device__ void AddRows(float weight, const typename Tiles<kDim>::Tile& tile, float* sums) {
#pragma unroll 4
  for (int j = 0; j < kTile; ++j) {
    const float w = __shfl_sync(kWholeWarp, weight, j);
#pragma unroll
    for (int e = 0; e < Tiles<kDim>::kEach; ++e) {
      sums[e] = fmaf(w, tile[j][LaneOf() + e * kTile], sums[e]);
    }
  }
}

// to[e] = sums · factor, where `there`.
template <int kDim>
__device__ void StoreSums(const float* sums, float factor, float* to, bool there, int64_t dim) {
#pragma unroll
  for (int i = 0; i < Tiles<kDim>::kEach; ++i) {
    const int e = static_cast<int>(LaneOf()) + i * kTile;
    if (there && e < dim) to[e] = sums[i] * factor;
  }
}

// A softmax over scores that come 32 at a time.
struct Running {
  float most = -INFINITY;
  float sum = 0;

  // The lane's weight of `score` (0 where not `seen`) against the largest so far; what was summed
  // before is to be multiplied by *factor.
  __device__ float Weigh(float score, bool seen, float* factor) {
    const float top = fmaxf(most, WarpMax(seen ? score : -INFINITY));
    *factor = top > most ? expf(most - top) : 1.0F;
    most = top;
    const float weight = seen ? expf(score - top) : 0.0F;
    sum = sum * *factor + WarpSum(weight);
    return weight;
  }
};

// Calls use(integral constant) with the padded size of vectors of `head_dim`.
template <class Use>
void WithDim(Context& context, const char* what, int64_t head_dim, Use use) {
  if (head_dim > kMostHeadDim) return context.Fail(std::string(what) + ": head_dim over 256");
  if (head_dim <= 64) return use(std::integral_constant<int, 64>());
  if (head_dim <= 128) return use(std::integral_constant<int, 128>());
  use(std::integral_constant<int, 256>());
}

}  // namespace signum::cuda
