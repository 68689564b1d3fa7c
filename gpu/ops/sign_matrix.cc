#include "gpu/ops/sign_matrix.h"

#include <vector>

#include "gpu/kernels/convert.h"
#include "gpu/kernels/reconstruct.h"
#include "gpu/kernels/scalar.h"
#include "gpu/ops/sign_grad_row.h"

namespace signum::ops {
namespace {

using kernels::BitBytes;
using kernels::Element;

float RowScale(const SignPlane& plane, int64_t row) {
  return plane.one_row_scale ? plane.row[0] : plane.row[row];
}

kernels::SignScales ScalesOf(const SignPlane& plane, int64_t row, size_t row_bytes) {
  const size_t at = static_cast<size_t>(row) * row_bytes;
  return {plane.sign + at, plane.mask == nullptr ? nullptr : plane.mask + at, RowScale(plane, row),
          plane.col};
}

}  // namespace

void Materialize(const MaterializeArgs& args) {
  const auto columns = static_cast<size_t>(args.columns);
  const size_t row_bytes = BitBytes(columns);
  const kernels::ConstRow base{args.base_type, args.base};
  for (int64_t i = 0; i < args.rows; ++i) {
    const int64_t base_row = args.base_rows == nullptr ? i : args.base_rows[i];
    const kernels::MutableRow out{Element::kF32, args.out + i * args.columns};
    kernels::ConstRow before = base.From(static_cast<size_t>(base_row) * columns);
    if (args.plane_count == 0) kernels::ConvertRow(before, columns, out);
    for (int p = 0; p < args.plane_count; ++p) {
      kernels::ReconstructRow(before, ScalesOf(args.planes[p], i, row_bytes), columns, out);
      before = {Element::kF32, out.data};
    }
  }
}

void SignGrad(const SignGradArgs& args) {
  const auto columns = static_cast<size_t>(args.columns);
  const size_t row_bytes = BitBytes(columns);
  for (int64_t i = 0; i < args.rows; ++i) {
    const kernels::SignScales scales = ScalesOf(args.plane, i, row_bytes);
    float* drow = args.plane.one_row_scale ? args.drow : args.drow + i;
    *drow += SignGradRow(args.g + i * args.columns, scales, columns, args.dcol);
  }
}

namespace reference {

void SignGrad(const SignGradArgs& args) {
  const auto columns = static_cast<size_t>(args.columns);
  const size_t row_bytes = BitBytes(columns);
  std::vector<double> dcol(columns);
  double all = 0;
  for (int64_t i = 0; i < args.rows; ++i) {
    const kernels::SignScales s = ScalesOf(args.plane, i, row_bytes);
    double drow = 0;
    for (size_t j = 0; j < columns; ++j) {
      if (s.mask != nullptr && !kernels::TestBit(s.mask, j)) continue;
      const double g = double{args.g[static_cast<size_t>(i) * columns + j]} *
                       (kernels::TestBit(s.sign, j) ? 1.0 : -1.0);
      drow += g * (s.col_scale == nullptr ? 1.0 : double{s.col_scale[j]});
      dcol[j] += g * double{s.row_scale};
    }
    all += drow;
    if (!args.plane.one_row_scale) args.drow[i] += static_cast<float>(drow);
  }
  if (args.plane.one_row_scale) args.drow[0] += static_cast<float>(all);
  if (args.dcol == nullptr) return;
  for (size_t j = 0; j < columns; ++j) args.dcol[j] += static_cast<float>(dcol[j]);
}

}  // namespace reference

}  // namespace signum::ops
