#include "client/capi/tensor_table.h"

#include <algorithm>
#include <iterator>

#include "storage/format/delta_parts.h"

namespace signum::client {
namespace {

int32_t PartOf(Part part) {
  switch (part) {
    case Part::kSign:
      return SIGNUM_PART_SIGN;
    case Part::kMask:
      return SIGNUM_PART_MASK;
    case Part::kRows:
      return SIGNUM_PART_ROWS;
    case Part::kValues:
      return SIGNUM_PART_VALUES;
    case Part::kScale:
      return SIGNUM_PART_SCALE;
    case Part::kRowScale:
      return SIGNUM_PART_ROW_SCALE;
    case Part::kColScale:
      return SIGNUM_PART_COL_SCALE;
    case Part::kLoraA:
      return SIGNUM_PART_LORA_A;
    case Part::kLoraB:
      return SIGNUM_PART_LORA_B;
    case Part::kWhole:
    case Part::kUnknownPlane:  // no delta that was read has one
      break;
  }
  return SIGNUM_PART_WHOLE;
}

int32_t LayoutOf(int32_t part, int32_t codec) {
  if (part == SIGNUM_PART_MASK) return SIGNUM_LAYOUT_ROW_BITS;
  if (part != SIGNUM_PART_SIGN) return SIGNUM_LAYOUT_DENSE;
  return codec == SIGNUM_CODEC_SIGN1_SPARSE ? SIGNUM_LAYOUT_BITS : SIGNUM_LAYOUT_ROW_BITS;
}

signum_weight NewWeight(const std::string& name, Codec codec) {
  signum_weight out{};
  out.struct_size = sizeof(out);
  out.name = name.c_str();
  out.codec = static_cast<int32_t>(codec);
  for (int32_t* index : {&out.whole, &out.mask, &out.rows, &out.values, &out.lora_a, &out.lora_b}) {
    *index = -1;
  }
  for (auto* indices : {&out.sign, &out.scale, &out.row_scale, &out.col_scale}) {
    std::fill(std::begin(*indices), std::end(*indices), -1);
  }
  return out;
}

// Where a weight keeps the index of this part.
int32_t* PlaceOf(signum_weight& weight, int32_t part, int32_t plane) {
  switch (part) {
    case SIGNUM_PART_SIGN:
      return &weight.sign[plane];
    case SIGNUM_PART_MASK:
      return &weight.mask;
    case SIGNUM_PART_ROWS:
      return &weight.rows;
    case SIGNUM_PART_VALUES:
      return &weight.values;
    case SIGNUM_PART_SCALE:
      return &weight.scale[plane];
    case SIGNUM_PART_ROW_SCALE:
      return &weight.row_scale[plane];
    case SIGNUM_PART_COL_SCALE:
      return &weight.col_scale[plane];
    case SIGNUM_PART_LORA_A:
      return &weight.lora_a;
    case SIGNUM_PART_LORA_B:
      return &weight.lora_b;
    default:
      return &weight.whole;
  }
}

}  // namespace

TensorTable::TensorTable(DeltaOutline outline, const TensorPlace& place)
    : outline_(std::move(outline)), place_(place) {
  for (const auto& [name, codec] : outline_.header.codecs) {
    weights_.push_back(NewWeight(name, codec));
    by_weight_.emplace(name, weights_.size() - 1);
  }
  shapes_.reserve(outline_.parts.size());
  tensors_.reserve(outline_.parts.size());
  for (size_t i = 0; i < outline_.parts.size(); ++i) AddTensor(i);
}

void TensorTable::AddTensor(size_t index) {
  const SafetensorsEntry& entry = outline_.parts[index];
  const std::string& name = entry.info.name;
  shapes_.emplace_back(entry.info.shape.begin(), entry.info.shape.end());
  signum_tensor out{};
  out.struct_size = sizeof(out);
  out.name = name.c_str();
  out.data = place_.file + outline_.data_begin + entry.begin;
  out.bytes = entry.end - entry.begin;
  out.dtype = static_cast<int32_t>(entry.info.dtype);
  out.rank = static_cast<int32_t>(entry.info.shape.size());
  out.shape = shapes_.back().data();
  out.part = SIGNUM_PART_FILE;
  out.codec = SIGNUM_CODEC_NONE;
  out.weight = "";
  out.device_kind = place_.device_kind;
  out.device_id = place_.device_id;
  out.ready_event = place_.ready_event;
  if (!name.starts_with(kReservedPrefix)) {
    // A tensor that is a raw weight of its own is no part of another, whatever its name.
    const auto own = outline_.header.codecs.find(name);
    const bool whole = own != outline_.header.codecs.end() && own->second == Codec::kRaw;
    const PartName part = whole ? PartName{Part::kWhole, name, 0} : SplitPartName(name);
    const signum_weight& weight = weights_[by_weight_.at(part.weight)];
    out.part = PartOf(part.part);
    out.plane = static_cast<int32_t>(part.plane);
    out.codec = weight.codec;
    out.weight = weight.name;
  }
  out.layout = LayoutOf(out.part, out.codec);
  tensors_.push_back(out);
  by_name_.emplace(name, index);
  AddToWeight(out, static_cast<int32_t>(index));
}

void TensorTable::AddToWeight(const signum_tensor& tensor, int32_t index) {
  if (tensor.part == SIGNUM_PART_FILE) return;
  signum_weight& weight = weights_[by_weight_.at(tensor.weight)];
  *PlaceOf(weight, tensor.part, tensor.plane) = index;
  if (tensor.part == SIGNUM_PART_SIGN) weight.planes = std::max(weight.planes, tensor.plane + 1);
}

Result<const signum_tensor*> TensorTable::Find(std::string_view name) const {
  const auto found = by_name_.find(name);
  if (found != by_name_.end()) return &tensors_[found->second];
  return Fail(Errc::kNotFound, "no_such_tensor",
              "the delta has no tensor '" + std::string(name) + "'");
}

}  // namespace signum::client
