#include <map>

#include "gpu/serve/tenant_weights.h"
#include "storage/format/delta_parts.h"

// What a tenant takes of a device's memory beside its delta's file.

namespace signum {

uint64_t TenantWeights::device_bytes() const {
  uint64_t bytes = vectors_.device_bytes();
  if (student_ != nullptr) bytes += student_->device_bytes();
  if (rope_ != base_->rope()) bytes += BufferBytes(rope_->cos) + BufferBytes(rope_->sin);
  const auto add = [&](const WeightDelta& weight) {
    bytes += weight.value_rows_device.allocated + weight.values.bytes.allocated +
             weight.a.bytes.allocated + weight.b.bytes.allocated;
  };
  for (size_t i = 0; i < weights(); ++i) add(weight(i));
  if (embedding_) add(*embedding_);
  for (const auto& own : own_) bytes += own->bytes.allocated;
  return bytes;
}

namespace {

uint64_t Elements(const SafetensorsEntry& part) {
  return part.info.bytes() / DtypeSize(part.info.dtype);
}

// As OpenWeight and OpenSignTensor have it.
uint64_t BytesOf(const WeightParts& parts, Codec codec) {
  const auto bytes = [](const SafetensorsEntry* part) {
    return part == nullptr ? uint64_t{0} : part->info.bytes();
  };
  if (codec == Codec::kLowrank) return Elements(*parts[Part::kLoraB]) * sizeof(float);
  uint64_t sum = bytes(parts[Part::kRows]);
  for (size_t plane = 0; plane < parts.planes.size(); ++plane) {
    for (const Part scale : {Part::kScale, Part::kRowScale, Part::kColScale}) {
      sum += bytes(parts.At(scale, plane));
    }
    if (parts.At(Part::kSign, plane) != nullptr) sum += bytes(parts[Part::kMask]);
  }
  return sum;
}

}  // namespace

Result<uint64_t> TenantWeights::ExpectedDeviceBytes(const TenantWeights& plain,
                                                    const DeltaReader& delta) {
  const std::map<std::string, Codec>& codecs = delta.header().codecs;
  SIGNUM_ASSIGN(const PartTable table, GroupParts(delta.parts(), NotImplied(codecs)));
  uint64_t sum = plain.vectors_.device_bytes();
  for (const auto& [name, parts] : table) {
    const Codec codec = codecs.at(name);
    if (codec == Codec::kRaw) continue;
    const bool whole = codec == Codec::kLowrank && name == kEmbeddingName;
    if (!whole || plain.config().tied_embeddings) sum += BytesOf(parts, codec);
    const DenseMatrix& embedding = plain.base().embedding();
    if (whole) {
      sum += parts[Part::kLoraB]->info.shape[0] * static_cast<uint64_t>(embedding.columns) *
             kernels::ElementBytes(embedding.type);
    }
  }
  return sum;
}

}  // namespace signum
