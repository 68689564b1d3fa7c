#include "gpu/survey.h"

#include <cmath>

#include "gpu/encode.h"
#include "gpu/kernels/convert.h"
#include "gpu/kernels/lanes.h"
#include "gpu/kernels/sign_pack.h"

namespace signum {
namespace {

using kernels::ConstRow;
using kernels::ElementBytes;

constexpr double kLargestSum = 1e30;

struct Slot {
  std::vector<uint8_t> scratch;
  std::vector<double> sums;
  std::vector<int32_t> changed;
  uint64_t zeros = 0;
};

// Whether the base's row, rounded to the fine-tune's dtype, is the fine-tune's.
bool RowKept(ConstRow base, ConstRow fine, size_t columns) {
  std::byte rounded[kernels::kBlockColumns * sizeof(double)];
  for (size_t first = 0; first < columns; first += kernels::kBlockColumns) {
    const size_t n = std::min(columns - first, kernels::kBlockColumns);
    const void* expected = base.From(first).data;
    if (base.type != fine.type) {
      kernels::ConvertRow(base.From(first), n, {fine.type, rounded});
      expected = rounded;
    }
    if (std::memcmp(expected, fine.From(first).data, n * ElementBytes(fine.type)) != 0)
      return false;
  }
  return true;
}

void Look(const RowBlock& block, Slot& slot) {
  slot.scratch.resize(kernels::BitBytes(block.columns));
  slot.sums.resize(block.rows);
  slot.changed.clear();
  slot.zeros = 0;
  for (uint64_t r = 0; r < block.rows; ++r) {
    const kernels::RowStats stats = kernels::SignPackRow(
        block.Base(r), block.Fine(r), block.columns, slot.scratch.data(), nullptr);
    slot.sums[r] = stats.sum_abs;
    slot.zeros += stats.zeros;
    if (!RowKept(block.Base(r), block.Fine(r), block.columns)) {
      slot.changed.push_back(static_cast<int32_t>(block.first + r));
    }
  }
}

}  // namespace

Result<Survey> SurveyRows(const EncodeContext& context, const RowPairs& pairs) {
  Survey survey;
  const auto commit = [&](const RowBlock&, Slot& slot) -> Result<void> {
    for (double sum : slot.sums) {
      survey.fit_for_signs = survey.fit_for_signs && sum <= kLargestSum;  // false for NaN
      survey.sum_abs += sum;
    }
    survey.zeros += slot.zeros;
    survey.changed_rows.insert(survey.changed_rows.end(), slot.changed.begin(), slot.changed.end());
    return {};
  };
  SIGNUM_TRY(ForRowBlocks<Slot>(context, pairs, Look, commit));
  survey.identical = pairs.base_type() == pairs.fine_type() && survey.changed_rows.empty();
  return survey;
}

}  // namespace signum
