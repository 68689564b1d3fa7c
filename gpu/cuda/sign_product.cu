#include "gpu/cuda/delta_ops.cuh"
#include "gpu/cuda/device.cuh"

// A tile of 64 × 64 results a block, 4 × 4 a thread, over stretches of 32 of the summed dimension.
// The signs are unpacked into shared memory as 1, -1 or 0; the scale that is summed over goes into
// x, the other onto the result.

namespace signum::cuda {
namespace {

constexpr int kSide = 64;
constexpr int kStretch = 32;
constexpr int kStep = 16;  // from one result of a thread to its next
constexpr int kEach = kSide / kStep;

using Stretch = float[kStretch][kSide + 1];

struct Sizes {
  int64_t outputs, inputs;  // columns of y and of x
  unsigned tiles;           // tiles across y
};

__device__ float RowScale(const ops::SignPlane& p, int64_t i) {
  return p.row[p.one_row_scale ? 0 : i];
}
__device__ float ColScale(const ops::SignPlane& p, int64_t j) {
  return p.col == nullptr ? 1.0F : p.col[j];
}

// x of 64 rows, scaled, transposed; zeros beyond its edges.
template <bool kInputGrad>
__device__ void LoadX(const ops::SignProductArgs& args, int64_t inputs, int64_t first_row,
                      int64_t first, Stretch& to) {
  for (int at = static_cast<int>(threadIdx.x); at < kSide * kStretch; at += kThreads) {
    const int64_t row = first_row + at / kStretch;
    const int64_t i = first + at % kStretch;
    float value = 0;
    if (row < args.m && i < inputs) {
      const float scale = kInputGrad ? RowScale(args.plane, i) : ColScale(args.plane, i);
      value = args.x[row * inputs + i] * scale;
    }
    to[at % kStretch][at / kStretch] = value;
  }
}

// Byte `byte` of row `row` of the plane as eight numbers, `step` apart; zeros beyond the edges.
__device__ void Unpack(const ops::SignProductArgs& args, int64_t row, int64_t byte, float* to,
                       int step) {
  const int64_t row_bytes = (args.columns + 7) / 8;
  unsigned sign = 0;
  unsigned mask = 0;
  if (row < args.rows && byte < row_bytes) {
    sign = args.plane.sign[row * row_bytes + byte];
    mask = args.plane.mask == nullptr ? 0xffU : args.plane.mask[row * row_bytes + byte];
  }
  for (int e = 0; e < 8; ++e) {
    const float one = (sign >> e & 1U) != 0 ? 1.0F : -1.0F;
    to[e * step] = (mask >> e & 1U) != 0 ? one : 0.0F;
  }
}

// 256 bytes of signs, one a thread: 64 rows of 4 bytes, or 32 rows of 8 where rows are summed over.
template <bool kInputGrad>
__device__ void LoadSigns(const ops::SignProductArgs& args, int64_t first_output, int64_t first,
                          Stretch& to) {
  const int t = static_cast<int>(threadIdx.x);
  if constexpr (kInputGrad) {
    Unpack(args, first + t / 8, first_output / 8 + t % 8, &to[t / 8][t % 8 * 8], 1);
  } else {
    Unpack(args, first_output + t / 4, first / 8 + t % 4, &to[t % 4 * 8][t / 4], kSide + 1);
  }
}

template <bool kInputGrad>
__global__ void __launch_bounds__(kThreads) Multiply(ops::SignProductArgs args, Sizes sizes) {
  __shared__ Stretch x;
  __shared__ Stretch signs;
  const int64_t first_row = int64_t{blockIdx.x / sizes.tiles} * kSide;
  const int64_t first_output = int64_t{blockIdx.x % sizes.tiles} * kSide;
  const int across = static_cast<int>(threadIdx.x) % kStep;
  const int down = static_cast<int>(threadIdx.x) / kStep;
  float sums[kEach][kEach] = {};
  for (int64_t first = 0; first < sizes.inputs; first += kStretch) {
    __syncthreads();  // the stretch before is done with
    LoadX<kInputGrad>(args, sizes.inputs, first_row, first, x);
    LoadSigns<kInputGrad>(args, first_output, first, signs);
    __syncthreads();
#pragma unroll 8
    for (int i = 0; i < kStretch; ++i) {
      float a[kEach];
      float b[kEach];
#pragma unroll
      for (int e = 0; e < kEach; ++e) {
        a[e] = x[i][down + e * kStep];
        b[e] = signs[i][across + e * kStep];
      }
#pragma unroll
      for (int r = 0; r < kEach; ++r) {
#pragma unroll
        for (int c = 0; c < kEach; ++c) sums[r][c] = fmaf(a[r], b[c], sums[r][c]);
      }
    }
  }
#pragma unroll
  for (int r = 0; r < kEach; ++r) {
#pragma unroll
    for (int c = 0; c < kEach; ++c) {
      const int64_t row = first_row + down + r * kStep;
      const int64_t output = first_output + across + c * kStep;
      if (row >= args.m || output >= sizes.outputs) continue;
      const float scale = kInputGrad ? ColScale(args.plane, output) : RowScale(args.plane, output);
      float& y = args.y[row * sizes.outputs + output];
      y = args.accumulate ? y + sums[r][c] * scale : sums[r][c] * scale;
    }
  }
}

}  // namespace

void SignProduct(Context& context, const ops::SignProductArgs& args) {
  Sizes sizes{args.rows, args.columns, 0};
  if (args.input_grad) sizes = {args.columns, args.rows, 0};
  const int64_t across = (sizes.outputs + kSide - 1) / kSide;
  const int64_t down = (args.m + kSide - 1) / kSide;
  sizes.tiles = static_cast<unsigned>(across);
  context.Launch("SignProduct", across * down, kThreads,
                 args.input_grad ? Multiply<true> : Multiply<false>, args, sizes);
}

}  // namespace signum::cuda
