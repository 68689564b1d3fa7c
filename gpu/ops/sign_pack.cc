#include "gpu/ops/sign_pack.h"

namespace signum::ops {

void SignPack(const SignPackArgs& args) {
  const auto columns = static_cast<size_t>(args.columns);
  const size_t row_bytes = kernels::BitBytes(columns);
  const kernels::ConstRow base{args.base_type, args.base};
  const kernels::ConstRow fine{args.fine_type, args.fine};
  for (size_t i = 0; i < static_cast<size_t>(args.rows); ++i) {
    const kernels::RowStats stats = kernels::SignPackRow(
        base.From(i * columns), fine.From(i * columns), columns, args.sign + i * row_bytes,
        args.mask == nullptr ? nullptr : args.mask + i * row_bytes);
    if (args.stats != nullptr) args.stats[i] = stats;
  }
}

}  // namespace signum::ops
