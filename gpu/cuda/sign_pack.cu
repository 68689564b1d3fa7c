#include "gpu/cuda/delta_ops.cuh"
#include "gpu/cuda/device.cuh"
#include "gpu/cuda/element.cuh"
#include "gpu/kernels/lanes.h"

// Eight threads a row, in the reduction order of KERNELS.md: thread t has lanes 8 t … 8 t + 7, so
// its eight columns of a group of 64 are one byte of signs and, of 2-byte weights, one load of 16
// bytes; the eight threads read 128 bytes together.

namespace signum::cuda {
namespace {

constexpr unsigned kBlock = 64;
constexpr unsigned kTeam = 8;  // threads a row
constexpr int64_t kBlockRows = kBlock / kTeam;
static_assert(kernels::kLanes == kTeam * kOctet);

struct Bits {
  unsigned positive, nonzero;
};

// Adds |Δ| of eight columns to the thread's lanes.
__device__ Bits AddOctet(const float* base, const float* fine, float* lanes) {
  Bits bits{0, 0};
  for (int e = 0; e < kOctet; ++e) {
    const float delta = fine[e] - base[e];
    lanes[e] += fabsf(delta);
    bits.positive |= (delta > 0 ? 1U : 0U) << e;
    bits.nonzero |= (delta == 0 ? 0U : 1U) << e;
  }
  return bits;
}

// kernels::SumLanes over the team: lane l takes lane l + 32, then 16, 8 (in other threads), 4,
// 2, 1.
__device__ double SumTeam(const float* lanes) {
  double sums[kOctet];
  for (int e = 0; e < kOctet; ++e) {
    sums[e] = static_cast<double>(lanes[e]) +
              static_cast<double>(__shfl_xor_sync(kWholeWarp, lanes[e], 4));
  }
  for (int e = 0; e < kOctet; ++e) sums[e] += __shfl_xor_sync(kWholeWarp, sums[e], 2);
  for (int e = 0; e < kOctet; ++e) sums[e] += __shfl_xor_sync(kWholeWarp, sums[e], 1);
  for (int e = 0; e < 4; ++e) sums[e] += sums[e + 4];
  return (sums[0] + sums[2]) + (sums[1] + sums[3]);
}

// kType: that of both matrices, whose rows are whole octets aligned to 16 bytes; F64 stands for
// any.
template <Element kType>
__device__ void LoadPair(const ops::SignPackArgs& args, int64_t row, int64_t column, float* base,
                         float* fine) {
  const int64_t at = row * args.columns;
  if constexpr (kType == Element::kF64) {
    LoadSome(args.base_type, args.base, at + column, at + args.columns, base);
    LoadSome(args.fine_type, args.fine, at + column, at + args.columns, fine);
  } else {
    LoadOctet<kType>(args.base, at + column, base);
    LoadOctet<kType>(args.fine, at + column, fine);
  }
}

template <Element kType>
__global__ void __launch_bounds__(kBlock) PackRows(ops::SignPackArgs args) {
  const int64_t row = blockIdx.x * kBlockRows + threadIdx.x / kTeam;
  const bool there = row < args.rows;  // the warp stays together: its shuffles need all of it
  const int64_t row_bytes = (args.columns + 7) / 8;
  kernels::RowStats stats;
  for (int64_t first = 0; first < args.columns; first += kernels::kBlockColumns) {
    const int64_t end = min(args.columns, first + static_cast<int64_t>(kernels::kBlockColumns));
    float lanes[kOctet] = {};
#pragma unroll 4
    for (int64_t column = first + threadIdx.x % kTeam * kOctet; column < end;
         column += kernels::kLanes) {
      if (!there) continue;
      float base[kOctet];
      float fine[kOctet];
      LoadPair<kType>(args, row, column, base, fine);
      const Bits bits = AddOctet(base, fine, lanes);
      const int64_t at = row * row_bytes + column / 8;
      args.sign[at] = static_cast<uint8_t>(bits.positive);
      if (args.mask != nullptr) args.mask[at] = static_cast<uint8_t>(bits.nonzero);
      const auto columns = static_cast<unsigned>(min(end - column, int64_t{kOctet}));
      stats.zeros += columns - __popc(bits.nonzero);
    }
    stats.sum_abs += SumTeam(lanes);
  }
  for (int by = 4; by > 0; by /= 2) stats.zeros += __shfl_xor_sync(kWholeWarp, stats.zeros, by);
  if (there && args.stats != nullptr && threadIdx.x % kTeam == 0) args.stats[row] = stats;
}

}  // namespace

void SignPack(Context& context, const ops::SignPackArgs& args) {
  if (!Aligned(args.base, kernels::ElementBytes(args.base_type)) ||
      !Aligned(args.fine, kernels::ElementBytes(args.fine_type))) {
    return context.Fail("SignPack: a matrix is not aligned to its elements");
  }
  const bool wide = args.base_type == args.fine_type && args.columns % kOctet == 0 &&
                    Aligned(args.base, 16) && Aligned(args.fine, 16);
  auto* kernel = PackRows<Element::kF64>;
  if (wide && args.base_type == Element::kBF16) kernel = PackRows<Element::kBF16>;
  if (wide && args.base_type == Element::kF16) kernel = PackRows<Element::kF16>;
  if (wide && args.base_type == Element::kF32) kernel = PackRows<Element::kF32>;
  const int64_t blocks = (args.rows + kBlockRows - 1) / kBlockRows;
  context.Launch("SignPack", blocks, kBlock, kernel, args);
}

}  // namespace signum::cuda
