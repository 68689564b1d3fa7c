#pragma once

#include <cuda_runtime.h>

#include <cstdint>

// What kernels share. Blocks are one-dimensional, of whole warps; every shuffle is of a whole warp.

namespace signum::cuda {

inline constexpr unsigned kThreads = 256;
inline constexpr unsigned kWarpSize = 32;
inline constexpr unsigned kWarps = kThreads / kWarpSize;
inline constexpr unsigned kWholeWarp = 0xffffffffU;

__device__ inline int64_t GlobalThread() {
  return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ inline int64_t GridThreads() { return static_cast<int64_t>(gridDim.x) * blockDim.x; }
__device__ inline unsigned LaneOf() { return threadIdx.x % kWarpSize; }
__device__ inline unsigned WarpOf() { return threadIdx.x / kWarpSize; }

template <class T>
__device__ T WarpSum(T value) {
  for (int lanes = 16; lanes > 0; lanes /= 2) value += __shfl_xor_sync(kWholeWarp, value, lanes);
  return value;
}

__device__ inline float WarpMax(float value) {
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    value = fmaxf(value, __shfl_xor_sync(kWholeWarp, value, lanes));
  }
  return value;
}

// Sums over the block's kThreads threads, in one order, the result for all. `shared` holds kWarps.
template <class T>
__device__ T BlockSum(T value, T* shared) {
  value = WarpSum(value);
  __syncthreads();  // whoever reads what a call before left there has done so
  if (LaneOf() == 0) shared[WarpOf()] = value;
  __syncthreads();
  T sum = 0;
  for (unsigned w = 0; w < kWarps; ++w) sum += shared[w];
  return sum;
}

// The largest of some values and where the first of them is.
struct Top {
  float value;
  int index;
};
inline constexpr int kNowhere = 0x7fffffff;

__device__ inline Top BetterOf(Top a, Top b) {
  const bool b_wins = b.value > a.value || (b.value == a.value && b.index < a.index);
  return b_wins ? b : a;
}

// The top of row[0, n), for all threads of the block. `shared` holds kWarps.
__device__ inline Top BlockTop(const float* row, int64_t n, Top* shared) {
  Top top{-INFINITY, kNowhere};
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
    if (top.index == kNowhere || row[i] > top.value) top = {row[i], static_cast<int>(i)};
  }
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    const float value = __shfl_xor_sync(kWholeWarp, top.value, lanes);
    const int index = __shfl_xor_sync(kWholeWarp, top.index, lanes);
    top = BetterOf(top, {value, index});
  }
  __syncthreads();
  if (LaneOf() == 0) shared[WarpOf()] = top;
  __syncthreads();
  for (unsigned w = 0; w < kWarps; ++w) top = BetterOf(top, shared[w]);
  return top;
}

}  // namespace signum::cuda
