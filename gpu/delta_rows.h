#pragma once

#include <vector>

#include "gpu/fetch.h"
#include "gpu/kernels/convert.h"
#include "gpu/row_pairs.h"

namespace signum {

// A row of a block in float32.
struct FloatRow {
  std::vector<float> base, fine, delta;

  void Load(const RowBlock& block, uint64_t row) {
    base.resize(block.columns);
    fine.resize(block.columns);
    delta.resize(block.columns);
    kernels::ToFloat(block.Base(row), block.columns, base.data());
    kernels::ToFloat(block.Fine(row), block.columns, fine.data());
    for (size_t j = 0; j < block.columns; ++j) delta[j] = fine[j] - base[j];
  }
};

// Single rows of the difference, wherever they lie.
class DeltaRowReader {
 public:
  // `pairs` must outlive it.
  explicit DeltaRowReader(const RowPairs& pairs) : pairs_(pairs) {}

  // Valid until the next.
  Result<const std::vector<float>*> Read(uint64_t row) {
    SIGNUM_TRY(Load(pairs_.base(), row, base_));
    SIGNUM_TRY(Load(pairs_.fine(), row, delta_));
    for (size_t j = 0; j < delta_.size(); ++j) delta_[j] -= base_[j];
    return static_cast<const std::vector<float>*>(&delta_);
  }

 private:
  Result<void> Load(const RowPairs::Side& side, uint64_t row, std::vector<float>& to) {
    const uint64_t bytes = pairs_.columns() * kernels::ElementBytes(side.type);
    SIGNUM_ASSIGN(const std::byte* from, Fetch(*side.bytes, row * bytes, bytes, buffer_));
    to.resize(pairs_.columns());
    kernels::ToFloat({side.type, from}, to.size(), to.data());
    return {};
  }

  const RowPairs& pairs_;
  std::vector<std::byte> buffer_;
  std::vector<float> base_, delta_;
};

}  // namespace signum
