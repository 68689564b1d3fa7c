#include "storage/format/tensor.h"

#include <algorithm>
#include <array>

namespace signum {

namespace {

struct DtypeRow {
  std::string_view name;
  size_t size;
};

// Indexed by Dtype.
constexpr std::array<DtypeRow, 17> kDtypes{{{"BOOL", 1},
                                            {"U8", 1},
                                            {"I8", 1},
                                            {"F8_E5M2", 1},
                                            {"F8_E4M3", 1},
                                            {"I16", 2},
                                            {"U16", 2},
                                            {"F16", 2},
                                            {"BF16", 2},
                                            {"I32", 4},
                                            {"U32", 4},
                                            {"F32", 4},
                                            {"F64", 8},
                                            {"I64", 8},
                                            {"U64", 8},
                                            {"F8_E8M0", 1},
                                            {"C64", 8}}};

}  // namespace

std::string_view DtypeName(Dtype dtype) { return kDtypes[static_cast<size_t>(dtype)].name; }
size_t DtypeSize(Dtype dtype) { return kDtypes[static_cast<size_t>(dtype)].size; }

std::optional<Dtype> DtypeFromName(std::string_view name) {
  const auto* row = std::find_if(kDtypes.begin(), kDtypes.end(),
                                 [&](const DtypeRow& r) { return r.name == name; });
  if (row == kDtypes.end()) return std::nullopt;
  return static_cast<Dtype>(row - kDtypes.begin());
}

bool IsFloat(Dtype dtype) {
  return dtype == Dtype::kF64 || dtype == Dtype::kF32 || dtype == Dtype::kF16 ||
         dtype == Dtype::kBF16;
}

uint64_t TensorInfo::elements() const {
  uint64_t product = 1;
  for (uint64_t dimension : shape) product *= dimension;
  return product;
}

uint64_t TensorInfo::bytes() const { return elements() * DtypeSize(dtype); }

std::string TensorInfo::Describe() const {
  std::string out(DtypeName(dtype));
  out += " [";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) out += ", ";
    out += std::to_string(shape[i]);
  }
  return out + "]";
}

std::optional<size_t> CheckpointSource::Find(std::string_view name) const {
  const std::vector<TensorInfo>& all = tensors();
  const auto at =
      std::lower_bound(all.begin(), all.end(), name,
                       [](const TensorInfo& t, std::string_view n) { return t.name < n; });
  if (at == all.end() || at->name != name) return std::nullopt;
  return static_cast<size_t>(at - all.begin());
}

}  // namespace signum
