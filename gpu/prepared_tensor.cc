#include "gpu/prepared_tensor.h"

#include "gpu/compress_checks.h"
#include "gpu/tensor_class.h"
#include "storage/format/safetensors.h"

namespace signum {
namespace {

using Kind = PreparedTensor::Kind;

Result<void> CheckGrown(const EncodeInput& input, uint64_t base_rows) {
  TensorInfo info = input.info;
  info.shape[0] -= base_rows;
  const uint64_t before = input.info.bytes() - info.bytes();
  return CheckFinite(info, SliceSource(input.fine, before, info.bytes()), "the fine-tune");
}

// A linear weight or an embedding that the base has too.
Result<Kind> Compare(const EncodeContext& context, const TensorInfo& base,
                     std::shared_ptr<const ByteSource> base_bytes, PreparedTensor& tensor) {
  const TensorInfo& info = tensor.input.info;
  const uint64_t rows = std::min(base.shape[0], info.shape[0]);
  tensor.pairs.emplace(RowPairs::Side{std::move(base_bytes), *ElementOf(base.dtype)},
                       RowPairs::Side{tensor.input.fine, *ElementOf(info.dtype)}, rows,
                       info.shape[1]);
  context.progress.ExpectPasses(3);
  SIGNUM_ASSIGN(tensor.survey, SurveyRows(context, *tensor.pairs));
  const bool grown = info.shape[0] > rows;
  if (tensor.survey.identical && !grown) return Kind::kSame;
  if (!tensor.survey.fit_for_signs) return Kind::kRaw;
  if (ClassifyTensor(info) == TensorClass::kLinear) {
    return context.options.codec == Codec::kRaw ? Kind::kRaw : Kind::kLinear;
  }
  if (tensor.survey.changed_rows.empty() && !grown) return Kind::kRaw;
  if (grown && !context.options.allow_not_finite) SIGNUM_TRY(CheckGrown(tensor.input, rows));
  return Kind::kRows;
}

bool UseFactors(const CompressOptions& options, PreparedTensor& tensor) {
  if (options.factors == nullptr || options.codec == Codec::kRaw) return false;
  const auto at = options.factors->find(tensor.input.info.name);
  if (at == options.factors->end()) return false;
  tensor.kind = Kind::kFactors;
  tensor.factors = &at->second;
  return true;
}

}  // namespace

Result<PreparedTensor> PrepareTensor(const EncodeContext& context, const CheckpointSource& base,
                                     const CheckpointSource& fine, size_t index) {
  PreparedTensor tensor;
  tensor.input.info = fine.tensors()[index];
  SIGNUM_ASSIGN(tensor.input.fine, fine.Open(index));
  const TensorInfo& info = tensor.input.info;
  const std::optional<size_t> at = base.Find(info.name);
  if (!at) return tensor;
  const TensorInfo& base_info = base.tensors()[*at];
  tensor.same_type = base_info.dtype == info.dtype && base_info.shape == info.shape;
  const std::optional<Digest> known = base.KnownDigest(*at);
  if (tensor.same_type && known && known == fine.KnownDigest(index)) {
    tensor.kind = Kind::kSame;
    return tensor;
  }
  SIGNUM_TRY(CheckShape(base_info, info));
  if (UseFactors(context.options, tensor)) return tensor;
  SIGNUM_ASSIGN(auto base_bytes, base.Open(*at));
  if (ClassifyTensor(info) != TensorClass::kExact && IsFloat(base_info.dtype)) {
    SIGNUM_ASSIGN(tensor.kind, Compare(context, base_info, std::move(base_bytes), tensor));
  } else if (tensor.same_type) {
    SIGNUM_ASSIGN(const bool same, SameBytes(*base_bytes, *tensor.input.fine));
    if (same) tensor.kind = Kind::kSame;
  }
  return tensor;
}

}  // namespace signum
