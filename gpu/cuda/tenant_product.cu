#include "gpu/cuda/delta_ops.cuh"
#include "gpu/cuda/device.cuh"
#include "gpu/cuda/element.cuh"

// A block takes 16 outputs, two a warp, for eight rows of the batch, and walks the columns 256 at a
// time: lane l has columns 8 l … 8 l + 7 of them, so a weight row is one load of 16 bytes a lane
// (for 2-byte weights) and a delta's row one byte. x, and x times its tenant's column scales, lie
// in shared memory, the lanes' first halves and then the second ones, so that 16-byte reads of
// neighbours are neighbours. Blocks of the same weights follow one another, so that a batch of more
// than eight finds them in the second-level cache.

namespace signum::cuda {
namespace {

constexpr int kBatch = 8;
constexpr int kRows = 2;  // a warp
constexpr int64_t kBlockRows = int64_t{kRows} * kWarps;
constexpr int64_t kSpan = int64_t{kWarpSize} * kOctet;
static_assert(kSpan == kThreads);  // each thread stages one column

// A SignPlane without initializers, which shared memory cannot have. sign null: no tenant, or no
// such row of the batch.
struct Plane {
  const uint8_t* sign;
  const uint8_t* mask;
  const float* row;
  const float* col;
  bool one_row_scale;
};

struct Shared {
  float4 x[kBatch][2][kWarpSize];
  float4 scaled[kBatch][2][kWarpSize];
  Plane planes[kBatch];
};

// Column `column` (of the span, this thread's) of all rows of the batch.
__device__ void Stage(const ops::TenantProductArgs& args, int64_t first_b, int64_t first,
                      Shared& shared) {
  const int64_t column = first + threadIdx.x;
  const unsigned lane = threadIdx.x / kOctet;
  const unsigned e = threadIdx.x % kOctet;
  for (int b = 0; b < kBatch; ++b) {
    const bool there = first_b + b < args.m && column < args.columns;
    const float x = there ? args.x[(first_b + b) * args.columns + column] : 0.0F;
    const float* col = shared.planes[b].col;
    const float scaled = there && col != nullptr ? x * col[column] : x;
    reinterpret_cast<float*>(&shared.x[b][e / 4][lane])[e % 4] = x;
    reinterpret_cast<float*>(&shared.scaled[b][e / 4][lane])[e % 4] = scaled;
  }
}

__device__ void Read(const float4 (&from)[2][kWarpSize], float* to) {
  const float4 low = from[0][LaneOf()];
  const float4 high = from[1][LaneOf()];
  to[0] = low.x, to[1] = low.y, to[2] = low.z, to[3] = low.w;
  to[4] = high.x, to[5] = high.y, to[6] = high.z, to[7] = high.w;
}

__device__ float Dot(const float* a, const float* b) {
  float sum = 0;
  for (int e = 0; e < kOctet; ++e) sum = fmaf(a[e], b[e], sum);
  return sum;
}

// Σ_e S_e x_e for byte `at` of a plane.
__device__ float SignDot(const Plane& plane, int64_t at, const float* x) {
  const unsigned sign = plane.sign[at];
  const unsigned mask = plane.mask == nullptr ? 0xffU : plane.mask[at];
  float sum = 0;
  for (int e = 0; e < kOctet; ++e) {
    const float value = (sign >> e & 1U) != 0 ? x[e] : -x[e];
    sum += (mask >> e & 1U) != 0 ? value : 0.0F;
  }
  return sum;
}

// kType as in sign_pack.cu.
template <Element kType>
__device__ void LoadWeights(const ops::TenantProductArgs& args, int64_t row, int64_t column,
                            float* w) {
  if (args.base == nullptr || row >= args.rows || column >= args.columns) {
    for (int e = 0; e < kOctet; ++e) w[e] = 0;
    return;
  }
  const int64_t at = row * args.columns;
  if constexpr (kType == Element::kF64) {
    LoadSome(args.base_type, args.base, at + column, at + args.columns, w);
  } else {
    LoadOctet<kType>(args.base, at + column, w);
  }
}

template <Element kType>
__global__ void __launch_bounds__(kThreads)
    Multiply(ops::TenantProductArgs args, unsigned batch_tiles) {
  __shared__ Shared shared;
  const int64_t first_b = int64_t{blockIdx.x % batch_tiles} * kBatch;
  const int64_t first_row = blockIdx.x / batch_tiles * kBlockRows + WarpOf() * kRows;
  const int64_t row_bytes = (args.columns + 7) / 8;
  if (threadIdx.x < kBatch) {
    const int64_t b = first_b + threadIdx.x;
    const int32_t tenant = b < args.m ? args.tenants[b] : -1;
    const ops::SignPlane plane = tenant < 0 ? ops::SignPlane{} : args.deltas[tenant];
    shared.planes[threadIdx.x] = {plane.sign, plane.mask, plane.row, plane.col,
                                  plane.one_row_scale};
  }
  float base[kRows][kBatch] = {};
  float delta[kRows][kBatch] = {};
  for (int64_t first = 0; first < args.columns; first += kSpan) {
    __syncthreads();  // the planes are there; the span before is done with
    Stage(args, first_b, first, shared);
    __syncthreads();
    const int64_t column = first + LaneOf() * kOctet;
    float w[kRows][kOctet];
#pragma unroll
    for (int r = 0; r < kRows; ++r) LoadWeights<kType>(args, first_row + r, column, w[r]);
#pragma unroll
    for (int b = 0; b < kBatch; ++b) {
      if (first_b + b >= args.m) continue;  // the whole block alike
      float x[kOctet];
      float scaled[kOctet];
      Read(shared.x[b], x);
      Read(shared.scaled[b], scaled);
      const Plane& plane = shared.planes[b];
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        base[r][b] += Dot(w[r], x);
        if (plane.sign == nullptr || first_row + r >= args.rows || column >= args.columns) continue;
        delta[r][b] += SignDot(plane, (first_row + r) * row_bytes + column / 8, scaled);
      }
    }
  }
  __syncthreads();  // the planes, where there are no columns at all
#pragma unroll
  for (int b = 0; b < kBatch; ++b) {
    if (first_b + b >= args.m) continue;
    const Plane& plane = shared.planes[b];
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const float from_base = args.base == nullptr ? 0.0F : WarpSum(base[r][b]);
      const float from_delta = plane.sign == nullptr ? 0.0F : WarpSum(delta[r][b]);
      const int64_t row = first_row + r;
      if (LaneOf() != 0 || row >= args.rows) continue;
      const float scale = plane.sign == nullptr ? 0.0F : plane.row[plane.one_row_scale ? 0 : row];
      float* y = args.y + (first_b + b) * args.rows + row;
      const float before = args.base == nullptr ? *y : from_base;
      *y = before + scale * from_delta;
    }
  }
}

}  // namespace

void TenantProduct(Context& context, const ops::TenantProductArgs& args) {
  if (!Aligned(args.base, kernels::ElementBytes(args.base_type))) {
    return context.Fail("TenantProduct: the base is not aligned to its elements");
  }
  const bool wide = args.columns % kOctet == 0 && Aligned(args.base, 16);
  auto* kernel = Multiply<Element::kF64>;
  if (wide && args.base_type == Element::kBF16) kernel = Multiply<Element::kBF16>;
  if (wide && args.base_type == Element::kF16) kernel = Multiply<Element::kF16>;
  if (wide && args.base_type == Element::kF32) kernel = Multiply<Element::kF32>;
  const int64_t batch_tiles = (args.m + kBatch - 1) / kBatch;
  const int64_t row_tiles = (args.rows + kBlockRows - 1) / kBlockRows;
  context.Launch("TenantProduct", batch_tiles * row_tiles, kThreads, kernel, args,
                 static_cast<unsigned>(batch_tiles));
}

}  // namespace signum::cuda
