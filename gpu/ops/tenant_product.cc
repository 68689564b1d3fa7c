#include "gpu/ops/tenant_product.h"

#include <algorithm>
#include <vector>

#include "gpu/kernels/convert.h"
#include "gpu/ops/row_product.h"
#include "gpu/ops/sign_rows.h"

namespace signum::ops {
namespace {

// Each row of x times its tenant's column scales, once for all outputs.
std::vector<float> ScaleColumns(const TenantProductArgs& args) {
  std::vector<float> out(args.x, args.x + args.m * args.columns);
  for (int64_t b = 0; b < args.m; ++b) {
    const float* col = args.tenants[b] < 0 ? nullptr : args.deltas[args.tenants[b]].col;
    if (col == nullptr) continue;
    float* row = out.data() + b * args.columns;
    for (int64_t j = 0; j < args.columns; ++j) row[j] *= col[j];
  }
  return out;
}

// What the planes add: a run of rows of x that are one tenant's at a time.
void AddSigns(const TenantProductArgs& args, const float* x) {
  for (int64_t b = 0; b < args.m;) {
    const int32_t tenant = args.tenants[b];
    int64_t end = b + 1;
    while (end < args.m && args.tenants[end] == tenant) ++end;
    if (tenant >= 0) {
      SignRows({args.deltas[tenant], x + b * args.columns, args.y + b * args.rows, end - b,
                args.rows, args.columns, args.columns, args.rows});
    }
    b = end;
  }
}

// F64, which no vector code reads, a row at a time.
void MultiplyDoubles(const TenantProductArgs& args) {
  const kernels::ConstRow all{args.base_type, args.base};
  const auto columns = static_cast<size_t>(args.columns);
  std::vector<float> w(columns);
  for (int64_t row = 0; row < args.rows; ++row) {
    kernels::ToFloat(all.From(static_cast<size_t>(row) * columns), columns, w.data());
    RowProduct({args.x, w.data(), args.y + row, args.m, 1, args.columns, args.columns, args.columns,
                args.rows});
  }
}

}  // namespace

void TenantProduct(const TenantProductArgs& args) {
  if (args.base != nullptr && args.base_type == kernels::Element::kF64) {
    MultiplyDoubles(args);
  } else if (args.base != nullptr) {
    RowProduct({args.x, args.base, args.y, args.m, args.rows, args.columns, args.columns,
                args.columns, args.rows, false, args.base_type});
  }
  AddSigns(args, ScaleColumns(args).data());
}

}  // namespace signum::ops
