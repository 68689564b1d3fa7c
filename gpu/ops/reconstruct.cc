#include "gpu/ops/reconstruct.h"

#include <vector>

#include "gpu/kernels/convert.h"

namespace signum::ops {
namespace {

// Row `row` of `all` as a matrix of its own.
MaterializeArgs OneRow(const MaterializeArgs& all, int64_t row, float* out) {
  MaterializeArgs one = all;
  const size_t row_bytes = kernels::BitBytes(static_cast<size_t>(all.columns));
  const size_t at = static_cast<size_t>(row) * row_bytes;
  if (all.base_rows != nullptr) {
    one.base_rows = all.base_rows + row;
  } else {
    const kernels::ConstRow base{all.base_type, all.base};
    one.base = base.From(static_cast<size_t>(row * all.columns)).data;
  }
  for (int p = 0; p < all.plane_count; ++p) {
    SignPlane& plane = one.planes[p];
    plane.sign += at;
    if (plane.mask != nullptr) plane.mask += at;
    if (!plane.one_row_scale) plane.row += row;
  }
  one.rows = 1;
  one.out = out;
  return one;
}

}  // namespace

void Reconstruct(const ReconstructArgs& args) {
  const auto columns = static_cast<size_t>(args.weight.columns);
  std::vector<float> values(columns);
  const kernels::MutableRow out{args.out_type, args.out};
  for (int64_t i = 0; i < args.weight.rows; ++i) {
    Materialize(OneRow(args.weight, i, values.data()));
    kernels::FromFloat(values.data(), columns, out.From(static_cast<size_t>(i) * columns));
  }
}

}  // namespace signum::ops
