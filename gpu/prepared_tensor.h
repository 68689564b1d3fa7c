#pragma once

#include <optional>

#include "gpu/encode.h"
#include "gpu/rebuilt_matrix.h"

namespace signum {

// A tensor of the fine-tune with what decides how it may be stored.
struct PreparedTensor {
  enum class Kind {
    kSame,     // equal to the base's
    kRaw,      // stored as it is, whatever is asked for
    kLinear,   // a linear weight: pairs and survey
    kFactors,  // an adapter's weight: factors
    kRows,     // an embedding or head: pairs (the rows the base has) and survey
  };
  Kind kind = Kind::kRaw;
  EncodeInput input;
  std::optional<RowPairs> pairs;
  const LowrankSource* factors = nullptr;
  Survey survey;
  bool same_type =
      false;  // the base has it in this dtype and shape, so that `same` could stand for it
};

// Compares tensor `index` of `fine` with the base's. Errc::kUnusable architecture_mismatch,
// not_finite (in rows that the base lacks).
Result<PreparedTensor> PrepareTensor(const EncodeContext& context, const CheckpointSource& base,
                                     const CheckpointSource& fine, size_t index);

}  // namespace signum
