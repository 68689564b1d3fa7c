#include "gpu/ops/elementwise.h"

#include <algorithm>

#include "gpu/kernels/convert.h"

namespace signum::ops {

void Add(const AddArgs& args) {
  for (int64_t i = 0; i < args.n; ++i) args.y[i] = args.a[i] + args.b[i];
}

void AddBias(const AddBiasArgs& args) {
  for (int64_t r = 0; r < args.rows; ++r) {
    float* y = args.y + r * args.n;
    for (int64_t i = 0; i < args.n; ++i) y[i] += args.bias[i];
  }
}

void CopyRows(const CopyRowsArgs& args) {
  for (int64_t r = 0; r < args.rows; ++r) {
    const float* from = args.from + r * args.from_stride;
    std::copy(from, from + args.n, args.to + r * args.to_stride);
  }
}

void CopyColumns(const CopyColumnsArgs& args) {
  for (int64_t r = 0; r < args.rows; ++r) {
    const float* from = args.from + r * args.from_columns;
    float* out = args.out + r * args.count;
    for (int64_t i = 0; i < args.count; ++i) out[i] = from[args.columns[i]];
  }
}

void GatherRows(const GatherRowsArgs& args) {
  const kernels::ConstRow table{args.type, args.table};
  const auto n = static_cast<size_t>(args.n);
  for (int64_t i = 0; i < args.count; ++i) {
    kernels::ToFloat(table.From(static_cast<size_t>(args.indices[i]) * n), n,
                     args.out + i * args.n);
  }
}

}  // namespace signum::ops
