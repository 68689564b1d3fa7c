#include "gpu/compress_checks.h"

#include "gpu/cuda_module.h"
#include "gpu/tensor_class.h"
#include "storage/base/name.h"
#include "storage/format/checkpoint.h"

namespace signum {
namespace {

std::vector<std::string> PartNamesOf(const std::string& name) {
  std::vector<std::string> names{MaskName(name), RowsName(name), ValuesName(name), LoraAName(name),
                                 LoraBName(name)};
  for (int plane = 0; plane < kMaxPlanes; ++plane) {
    for (auto* part : {SignName, ScaleName, RowScaleName, ColScaleName}) {
      names.push_back(part(name, plane));
    }
  }
  return names;
}

Result<void> CheckBudget(const CompressOptions& options) {
  const bool one = options.budget_bytes == 0 || options.budget_ratio == 0;
  const bool ratio = options.budget_ratio == 0 || options.budget_ratio >= 1;  // false for NaN
  if (!one || !ratio) {
    return Fail(Errc::kInvalid, "bad_budget",
                "budget: a number of bytes, or a ratio of at least 1");
  }
  if (options.codec == Codec::kSign1 && options.planes == 1) return {};
  return Fail(Errc::kInvalid, "bad_budget",
              "budget: it chooses codec and planes, so neither can be asked for beside it");
}

}  // namespace

Result<void> CheckOptions(const CompressOptions& options) {
  if (!IsDeviceName(options.device)) {
    return Fail(Errc::kInvalid, "bad_device", "no device '" + Printable(options.device) + "'");
  }
  if (options.planes < 1 || options.planes > kMaxPlanes) {
    return Fail(
        Errc::kInvalid, "bad_planes",
        "planes: " + std::to_string(options.planes) + " is not 1 to " + std::to_string(kMaxPlanes));
  }
  if (options.budget_bytes > 0 || options.budget_ratio != 0) SIGNUM_TRY(CheckBudget(options));
  if (options.codec == Codec::kSign1 || options.codec == Codec::kSign1Sparse ||
      options.codec == Codec::kRaw || options.codec == Codec::kLowrank) {
    return {};
  }
  return Fail(Errc::kInvalid, "bad_codec",
              "linear weights can't be stored as " + std::string(CodecName(options.codec)));
}

Result<void> CheckNames(const CheckpointSource& fine) {
  for (const TensorInfo& info : fine.tensors()) {
    if (info.name.starts_with(kReservedPrefix)) {
      return Fail(Errc::kUnusable, "name_collision",
                  "tensor '" + Printable(info.name) + "': names that begin with signum. are taken");
    }
    if (ClassifyTensor(info) == TensorClass::kExact) continue;
    for (const std::string& part : PartNamesOf(info.name)) {
      if (!fine.Find(part)) continue;
      return Fail(Errc::kUnusable, "name_collision",
                  "tensor '" + Printable(part) + "' is named like a part of '" +
                      Printable(info.name) + "'");
    }
  }
  return {};
}

Result<void> CheckShape(const TensorInfo& base, const TensorInfo& fine) {
  const bool grown = IsVocabularyTensor(fine) && base.shape.size() == 2 &&
                     base.shape[1] == fine.shape[1] && base.shape[0] < fine.shape[0];
  if (base.shape == fine.shape || grown) return {};
  return Fail(Errc::kUnusable, "architecture_mismatch",
              "tensor '" + Printable(fine.name) + "' is " + fine.Describe() + ", the base has " +
                  base.Describe());
}

}  // namespace signum
