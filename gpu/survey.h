#pragma once

#include <cstdint>
#include <vector>

#include "storage/base/result.h"

namespace signum {

struct EncodeContext;
class RowPairs;

// What a first pass over the differences finds, so that a codec can be chosen before anything is
// written.
struct Survey {
  bool identical = true;  // same dtype and the same bytes
  // Every difference is finite and no row's sum of |Δ| exceeds 1e30, beyond which float32 scales
  // and their products would overflow.
  bool fit_for_signs = true;
  uint64_t zeros = 0;  // differences that are exactly 0
  double sum_abs = 0;  // sum of |Δ|
  // Rows that the base's row, rounded to the fine-tune's dtype, does not give bit for bit.
  std::vector<int32_t> changed_rows;
};

// Of the rows the two have in common.
Result<Survey> SurveyRows(const EncodeContext& context, const RowPairs& pairs);

}  // namespace signum
