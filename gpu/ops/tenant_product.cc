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

// What row b of x, through its tenant's delta, adds to output `row`. A row of signs against a
// vector is what SignGradRow computes, in vector code.
float DeltaShare(const TenantProductArgs& args, int64_t b, int64_t row) {
  const SignPlane& plane = args.deltas[args.tenants[b]];
  const auto columns = static_cast<size_t>(args.columns);
  const size_t at = static_cast<size_t>(row) * kernels::BitBytes(columns);
  const float row_scale = plane.row[plane.one_row_scale ? 0 : row];
  const kernels::SignScales scales{
      plane.sign + at, plane.mask == nullptr ? nullptr : plane.mask + at, row_scale, plane.col};
  return row_scale * SignGradRow(args.x + b * args.columns, scales, columns, nullptr);
}

}  // namespace

// Blocks of rows of W, converted once for the whole batch; then, while the block's outputs are at
// hand, the signs, which are a thirty-second of the weights.
void TenantProduct(const TenantProductArgs& args) {
  const int64_t most = std::max<int64_t>(1, kBlockWeights / std::max<int64_t>(1, args.columns));
  const kernels::ConstRow base{args.base_type, args.base};
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
      if (args.tenants[b] < 0) continue;
      float* y = args.y + b * args.rows;
      for (int64_t row = first; row < first + count; ++row) y[row] += DeltaShare(args, b, row);
    }
  }
}

}  // namespace signum::ops
