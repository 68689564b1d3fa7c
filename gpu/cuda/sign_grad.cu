#include "gpu/cuda/device.cuh"
#include "gpu/cuda/element.cuh"
#include "gpu/cuda/ops.cuh"

// G is read once. A block takes 64 rows of 2048 columns, a thread eight columns of each: it keeps
// their column sums in registers, and each warp adds up its part of a row. Two small kernels then
// add the blocks' parts in order, so that the sums are the same in every run.

namespace signum::cuda {
namespace {

constexpr int kTileRows = 64;
constexpr int64_t kTileColumns = int64_t{kThreads} * kOctet;

struct Parts {
  float* rows;      // [chunks, rows]
  float* columns;   // [tiles, columns]
  unsigned chunks;  // blocks across
  unsigned tiles;   // and down
};

// The eight columns of a thread.
struct Octet {
  int64_t first;
  float scale[kOctet];  // 0 beyond the last column
  float sum[kOctet];
};

__device__ Octet MakeOctet(const ops::SignGradArgs& args, int64_t first) {
  Octet octet;
  octet.first = first;
  for (int e = 0; e < kOctet; ++e) {
    const bool there = first + e < args.columns;
    const float* col = args.plane.col;
    octet.scale[e] = !there ? 0.0F : col == nullptr ? 1.0F : col[first + e];
    octet.sum[e] = 0;
  }
  return octet;
}

// Adds row i to the octet's sums; returns its share of the row's.
__device__ float AddRow(const ops::SignGradArgs& args, int64_t i, Octet& octet) {
  if (octet.first >= args.columns) return 0;
  const int64_t at = i * ((args.columns + 7) / 8) + octet.first / 8;
  const unsigned sign = args.plane.sign[at];
  const unsigned mask = args.plane.mask == nullptr ? 0xffU : args.plane.mask[at];
  const float row_scale = args.plane.row[args.plane.one_row_scale ? 0 : i];
  float g[kOctet];
  LoadSome(Element::kF32, args.g + i * args.columns, octet.first, args.columns, g);
  float sum = 0;
  for (int e = 0; e < kOctet; ++e) {
    float s = (sign >> e & 1U) != 0 ? g[e] : -g[e];
    if ((mask >> e & 1U) == 0) s = 0;
    sum += s * octet.scale[e];
    octet.sum[e] += s * row_scale;
  }
  return sum;
}

__global__ void __launch_bounds__(kThreads) SumTile(ops::SignGradArgs args, Parts parts) {
  __shared__ float row_sums[kTileRows][kWarps];
  const int64_t chunk = blockIdx.x % parts.chunks;
  const int64_t tile = blockIdx.x / parts.chunks;
  const int64_t first_row = tile * kTileRows;
  const int rows = static_cast<int>(min(int64_t{kTileRows}, args.rows - first_row));
  Octet octet = MakeOctet(args, chunk * kTileColumns + threadIdx.x * kOctet);
  for (int r = 0; r < rows; ++r) {
    const float sum = WarpSum(AddRow(args, first_row + r, octet));
    if (LaneOf() == 0) row_sums[r][WarpOf()] = sum;
  }
  __syncthreads();
  for (int r = static_cast<int>(threadIdx.x); r < rows; r += kThreads) {
    float sum = 0;
    for (unsigned w = 0; w < kWarps; ++w) sum += row_sums[r][w];
    parts.rows[chunk * args.rows + first_row + r] = sum;
  }
  if (args.dcol == nullptr) return;
  for (int e = 0; e < kOctet && octet.first + e < args.columns; ++e) {
    parts.columns[tile * args.columns + octet.first + e] = octet.sum[e];
  }
}

// to[i] += Σ_p parts[p, i], p ascending.
__global__ void __launch_bounds__(kThreads)
    AddParts(const float* parts, int64_t count, int64_t n, float* to) {
  for (int64_t i = GlobalThread(); i < n; i += GridThreads()) {
    double sum = 0;
    for (int64_t p = 0; p < count; ++p) sum += static_cast<double>(parts[p * n + i]);
    to[i] += static_cast<float>(sum);
  }
}

// to[0] += the sum of all; one block.
__global__ void __launch_bounds__(kThreads) AddAll(const float* parts, int64_t n, float* to) {
  __shared__ double shared[kWarps];
  double sum = 0;
  for (int64_t i = threadIdx.x; i < n; i += kThreads) sum += static_cast<double>(parts[i]);
  sum = BlockSum(sum, shared);
  if (threadIdx.x == 0) to[0] += static_cast<float>(sum);
}

}  // namespace

void SignGrad(Context& context, const ops::SignGradArgs& args) {
  if (args.rows == 0 || args.columns == 0) return;
  Parts parts{};
  const int64_t chunks = (args.columns + kTileColumns - 1) / kTileColumns;
  const int64_t tiles = (args.rows + kTileRows - 1) / kTileRows;
  parts.chunks = static_cast<unsigned>(chunks);
  parts.tiles = static_cast<unsigned>(tiles);
  const int64_t columns = args.dcol == nullptr ? 0 : tiles * args.columns;
  parts.rows = static_cast<float*>(
      context.Scratch(static_cast<size_t>(chunks * args.rows + columns) * sizeof(float)));
  if (parts.rows == nullptr) return;
  parts.columns = parts.rows + chunks * args.rows;
  context.Launch("SignGrad", chunks * tiles, kThreads, SumTile, args, parts);
  if (args.plane.one_row_scale) {
    context.Launch("SignGrad", 1, kThreads, AddAll, parts.rows, chunks * args.rows, args.drow);
  } else {
    context.Launch("SignGrad", context.BlocksFor(args.rows, kThreads), kThreads, AddParts,
                   parts.rows, chunks, args.rows, args.drow);
  }
  if (args.dcol == nullptr) return;
  context.Launch("SignGrad", context.BlocksFor(args.columns, kThreads), kThreads, AddParts,
                 parts.columns, tiles, args.columns, args.dcol);
}

}  // namespace signum::cuda
