#include "gpu/cuda/rebuild.cuh"

#include "gpu/cuda/device.cuh"
#include "gpu/cuda/element.cuh"
#include "gpu/cuda/ops.cuh"

// A thread eight columns: one byte of signs a plane, 16 bytes of 2-byte weights. A block takes 2048
// columns of a row.

namespace signum::cuda {
namespace {

constexpr int64_t kBlockSpan = int64_t{kThreads} * kOctet;

struct RebuildArgs {
  ops::MaterializeArgs m;
  Element out_type;
  void* out;
  unsigned chunks;  // blocks a row
};

// Adds plane `p` to eight columns from `first` on of row `row`; what is added beyond the last
// column is never stored.
__device__ void AddPlane(const ops::SignPlane& p, int64_t row, int64_t first, int64_t columns,
                         float* values) {
  const int64_t at = row * ((columns + 7) / 8) + first / 8;
  const unsigned sign = p.sign[at];
  const unsigned mask = p.mask == nullptr ? 0xffU : p.mask[at];
  const float row_scale = p.row[p.one_row_scale ? 0 : row];
  for (int e = 0; e < kOctet; ++e) {
    if ((mask >> e & 1U) == 0 || first + e >= columns) continue;
    const float s = p.col == nullptr ? row_scale : row_scale * p.col[first + e];
    values[e] = (sign >> e & 1U) != 0 ? values[e] + s : values[e] - s;
  }
}

struct Place {
  int64_t row, base_row, first;
};
__device__ Place PlaceOf(const RebuildArgs& args) {
  const int64_t row = blockIdx.x / args.chunks;
  const int64_t first = (blockIdx.x % args.chunks) * kBlockSpan + threadIdx.x * kOctet;
  return {row, args.m.base_rows == nullptr ? row : args.m.base_rows[row], first};
}

__device__ void AddPlanes(const RebuildArgs& args, const Place& place, float* values) {
  for (int p = 0; p < args.m.plane_count; ++p) {
    AddPlane(args.m.planes[p], place.row, place.first, args.m.columns, values);
  }
}

// Whole octets at addresses aligned to 16 bytes.
template <Element kBase, Element kOut>
__global__ void __launch_bounds__(kThreads) RebuildWide(RebuildArgs args) {
  const Place place = PlaceOf(args);
  if (place.first >= args.m.columns) return;
  float values[kOctet];
  LoadOctet<kBase>(args.m.base, place.base_row * args.m.columns + place.first, values);
  AddPlanes(args, place, values);
  StoreOctet<kOut>(args.out, place.row * args.m.columns + place.first, values);
}

// Any types, any number of columns.
__global__ void __launch_bounds__(kThreads) RebuildAny(RebuildArgs args) {
  const Place place = PlaceOf(args);
  if (place.first >= args.m.columns) return;
  const int64_t from = place.base_row * args.m.columns;
  const int64_t to = place.row * args.m.columns;
  float values[kOctet];
  LoadSome(args.m.base_type, args.m.base, from + place.first, from + args.m.columns, values);
  AddPlanes(args, place, values);
  for (int e = 0; e < kOctet && place.first + e < args.m.columns; ++e) {
    StoreOne(args.out_type, args.out, to + place.first + e, values[e]);
  }
}

using RebuildKernel = void (*)(RebuildArgs);

RebuildKernel Choose(const RebuildArgs& args) {
  const Element base = args.m.base_type;
  const Element out = args.out_type;
  const bool wide =
      args.m.columns % kOctet == 0 && Aligned(args.m.base, 16) && Aligned(args.out, 16);
  if (!wide) return RebuildAny;
  if (base == Element::kBF16 && out == base) return RebuildWide<Element::kBF16, Element::kBF16>;
  if (base == Element::kF16 && out == base) return RebuildWide<Element::kF16, Element::kF16>;
  if (out != Element::kF32) return RebuildAny;
  if (base == Element::kBF16) return RebuildWide<Element::kBF16, Element::kF32>;
  if (base == Element::kF16) return RebuildWide<Element::kF16, Element::kF32>;
  if (base == Element::kF32) return RebuildWide<Element::kF32, Element::kF32>;
  return RebuildAny;
}

}  // namespace

void Rebuild(Context& context, const ops::MaterializeArgs& m, Element out_type, void* out) {
  if (!Aligned(m.base, kernels::ElementBytes(m.base_type)) ||
      !Aligned(out, kernels::ElementBytes(out_type))) {
    return context.Fail("Rebuild: a matrix is not aligned to its elements");
  }
  const int64_t chunks = (m.columns + kBlockSpan - 1) / kBlockSpan;
  const RebuildArgs args{m, out_type, out, static_cast<unsigned>(chunks)};
  context.Launch("Rebuild", m.rows * chunks, kThreads, Choose(args), args);
}

void Materialize(Context& context, const ops::MaterializeArgs& args) {
  Rebuild(context, args, Element::kF32, args.out);
}

}  // namespace signum::cuda
