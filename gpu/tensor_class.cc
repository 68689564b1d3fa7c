#include "gpu/tensor_class.h"

#include <algorithm>

#include "storage/format/checkpoint.h"

namespace signum {
namespace {

constexpr uint64_t kMinSide = 8;
constexpr uint64_t kMinElements = 1024;
constexpr uint64_t kMaxColumns = uint64_t{1} << 17;
constexpr uint64_t kMaxRows = uint64_t{1} << 24;

}  // namespace

TensorClass ClassifyTensor(const TensorInfo& info) {
  if (!IsFloat(info.dtype) || info.shape.size() != 2) return TensorClass::kExact;
  const uint64_t rows = info.shape[0];
  const uint64_t columns = info.shape[1];
  if (columns > kMaxColumns || rows > kMaxRows || std::min(rows, columns) < kMinSide ||
      rows * columns < kMinElements) {
    return TensorClass::kExact;
  }
  return IsVocabularyTensor(info) ? TensorClass::kEmbedding : TensorClass::kLinear;
}

std::optional<kernels::Element> ElementOf(Dtype dtype) {
  switch (dtype) {
    case Dtype::kF64:
      return kernels::Element::kF64;
    case Dtype::kF32:
      return kernels::Element::kF32;
    case Dtype::kF16:
      return kernels::Element::kF16;
    case Dtype::kBF16:
      return kernels::Element::kBF16;
    default:
      return std::nullopt;
  }
}

}  // namespace signum
