#include "gpu/ops/tenant_product.h"

#include <algorithm>
#include <vector>

#include "gpu/kernels/convert.h"
#include "gpu/ops/crew.h"
#include "gpu/ops/row_product.h"
#include "gpu/ops/sign_rows.h"

namespace signum::ops {
namespace {

// Null where row b has none.
const SignPlane* PlaneOf(const TenantProductArgs& args, int64_t b) {
  const SignPlane* plane = args.tenants[b] < 0 ? nullptr : args.deltas + args.tenants[b];
  return plane == nullptr || plane->sign == nullptr ? nullptr : plane;
}

// Each row of x times its tenant's column scales, once for all outputs.
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

// The plane's rows from `first` on.
SignPlane From(SignPlane plane, int64_t first, int64_t columns) {
  const int64_t bytes =
      first * static_cast<int64_t>(kernels::BitBytes(static_cast<size_t>(columns)));
  plane.sign += bytes;
  if (plane.mask != nullptr) plane.mask += bytes;
  if (!plane.one_row_scale) plane.row += first;
  return plane;
}

// What the planes add to outputs [first, first + count): a run of rows of x that are one tenant's
// at a time.
void AddSigns(const TenantProductArgs& args, const float* x, int64_t first, int64_t count) {
  for (int64_t b = 0; b < args.m;) {
    const int32_t tenant = args.tenants[b];
    int64_t end = b + 1;
    while (end < args.m && args.tenants[end] == tenant) ++end;
    const SignPlane* plane = PlaneOf(args, b);
    if (plane != nullptr) {
      SignRows({From(*plane, first, args.columns), x + b * args.columns,
                args.y + b * args.rows + first, end - b, count, args.columns, args.columns,
                args.rows});
    }
    b = end;
  }
}

// F64, which no vector code reads, a row at a time.
void MultiplyDoubles(const TenantProductArgs& args, int64_t first, int64_t count) {
  const kernels::ConstRow all{args.base_type, args.base};
  const auto columns = static_cast<size_t>(args.columns);
  std::vector<float> w(columns);
  for (int64_t row = first; row < first + count; ++row) {
    kernels::ToFloat(all.From(static_cast<size_t>(row) * columns), columns, w.data());
    RowProduct({args.x, w.data(), args.y + row, args.m, 1, args.columns, args.columns, args.columns,
                args.rows});
  }
}

void MultiplyBase(const TenantProductArgs& args, int64_t first, int64_t count) {
  if (args.base == nullptr) return;
  if (args.base_type == kernels::Element::kF64) return MultiplyDoubles(args, first, count);
  const kernels::ConstRow all{args.base_type, args.base};
  RowProduct({args.x, all.From(static_cast<size_t>(first * args.columns)).data, args.y + first,
              args.m, count, args.columns, args.columns, args.columns, args.rows, false,
              args.base_type});
}

}  // namespace

void TenantProduct(const TenantProductArgs& args, Crew* crew) {
  constexpr int64_t kRowsOfATile = 24;
  const std::vector<float> scaled = ScaleColumns(args);
  Divide(crew, args.rows, kRowsOfATile, kRowsOfATile * args.columns * args.m,
         [&](int64_t first, int64_t count) {
           MultiplyBase(args, first, count);
           AddSigns(args, scaled.data(), first, count);
         });
}

void TenantProduct(const TenantProductArgs& args) { TenantProduct(args, nullptr); }

}  // namespace signum::ops
