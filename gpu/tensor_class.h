#pragma once

#include <optional>

#include "gpu/kernels/element.h"
#include "storage/format/tensor.h"

namespace signum {

// How a tensor of a fine-tune is treated, before its contents are looked at (format.md, "Which
// codec for which tensor").
enum class TensorClass {
  kLinear,     // sign1 or sign1-sparse
  kEmbedding,  // rows
  kExact,      // raw
};

// A tensor is exact unless it is a 2-D float tensor (F64, F32, F16, BF16) with at least 8 rows and
// columns and 1024 elements (below that the parts and their headers take as much as the weights),
// at most 2^17 columns and 2^24 rows (row blocks and scales are held in memory; no model comes
// near). Of the others, those that IsVocabularyTensor() knows by name are embeddings, the rest
// linear weights.
TensorClass ClassifyTensor(const TensorInfo& info);

// The kernels' name of a float dtype; nothing for the others.
std::optional<kernels::Element> ElementOf(Dtype dtype);

}  // namespace signum
