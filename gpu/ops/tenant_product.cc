#include "gpu/ops/tenant_product.h"

#include <algorithm>
#include <vector>

#include "gpu/kernels/convert.h"
#include "gpu/kernels/reconstruct.h"
#include "gpu/ops/row_product.h"
#include "gpu/ops/sign_grad_row.h"

namespace signum::ops {
namespace {

constexpr int64_t kBlockWeights = 1 << 17;  // 512 KiB of float32

// Null where row b has none.
const SignPlane* PlaneOf(const TenantProductArgs& args, int64_t b) {
  const SignPlane* plane = args.tenants[b] < 0 ? nullptr : args.deltas + args.tenants[b];
  return plane == nullptr || plane->sign == nullptr ? nullptr : plane;
}

// Each row of x times its tenant's column scales, once for all outputs. That is bit for bit what
// scaling after the signs gives: a change of sign commutes with rounding.
std::vector<float> ScaleColumns(const TenantProductArgs& args) {
  std::vector<float> out(args.x, args.x + args.m * args.columns);
  for (int64_t b = 0; b < args.m; ++b) {
    const SignPlane* plane = PlaneOf(args, b);
    const float* col = plane == nullptr ? nullptr : plane->col;
    if (col == nullptr) continue;
    float* row = out.data() + b * args.columns;
    for (int64_t j = 0; j < args.columns; ++j) row[j] *= col[j];
  }
  return out;
}

// What a row of x that has its column scales, through its tenant's delta, adds to output `row`. A
// row of signs against a vector is what SignGradRow computes, in vector code.
float DeltaShare(const SignPlane& plane, const float* x, int64_t columns, int64_t row) {
  const auto n = static_cast<size_t>(columns);
  const size_t at = static_cast<size_t>(row) * kernels::BitBytes(n);
  const float row_scale = plane.row[plane.one_row_scale ? 0 : row];
  const kernels::SignScales scales{
      plane.sign + at, plane.mask == nullptr ? nullptr : plane.mask + at, row_scale, nullptr};
  return row_scale * SignGradRow(x, scales, n, nullptr);
}

}  // namespace

// Blocks of rows of W, converted once for the whole batch; then, while the block's outputs are at
// hand, the signs, which are a thirty-second of the weights.
void TenantProduct(const TenantProductArgs& args) {
  const int64_t most = std::max<int64_t>(1, kBlockWeights / std::max<int64_t>(1, args.columns));
  const kernels::ConstRow base{args.base_type, args.base};
  const std::vector<float> scaled = ScaleColumns(args);
  std::vector<float> w(args.base == nullptr ? 0 : static_cast<size_t>(most * args.columns));
  for (int64_t first = 0; first < args.rows; first += most) {
    const int64_t count = std::min(most, args.rows - first);
    if (args.base != nullptr) {
      kernels::ToFloat(base.From(static_cast<size_t>(first * args.columns)),
                       static_cast<size_t>(count * args.columns), w.data());
      RowProduct({args.x, w.data(), args.y + first, args.m, count, args.columns, args.columns,
                  args.columns, args.rows, false});
    }
    for (int64_t b = 0; b < args.m; ++b) {
      const SignPlane* plane = PlaneOf(args, b);
      if (plane == nullptr) continue;
      const float* x = scaled.data() + b * args.columns;
      float* y = args.y + b * args.rows;
      for (int64_t row = first; row < first + count; ++row) {
        y[row] += DeltaShare(*plane, x, args.columns, row);
      }
    }
  }
}

}  // namespace signum::ops
