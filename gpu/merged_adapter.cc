#include "gpu/merged_adapter.h"

#include <cstring>

#include "gpu/tensor_class.h"
#include "storage/base/name.h"
#include "storage/format/adapter.h"

namespace signum {
namespace {

Error Mismatch(const std::string& weight, const std::string& why) {
  return Fail(Errc::kUnusable, "architecture_mismatch",
              "the adapter's weight '" + Printable(weight) + "' " + why);
}

std::shared_ptr<const ByteSource> ScaleSource(float scale) {
  if (scale == 1) return nullptr;
  std::string bytes(sizeof(float), '\0');
  std::memcpy(bytes.data(), &scale, sizeof(float));
  return std::make_shared<MemorySource>(std::move(bytes));
}

Result<LowrankSource> FactorsOf(const Checkpoint& base, const Checkpoint& adapter,
                                const AdapterWeight& weight) {
  const TensorInfo& a = adapter.tensors()[weight.a];
  const TensorInfo& b = adapter.tensors()[weight.b];
  const std::optional<size_t> at = base.Find(weight.weight);
  if (!at) return Mismatch(weight.weight, "is not in the base");
  const TensorInfo& info = base.tensors()[*at];
  const std::vector<uint64_t> shape{b.shape[0], a.shape[1]};
  if (!IsFloat(info.dtype) || info.shape != shape) {
    return Mismatch(weight.weight, "has factors for [" + std::to_string(shape[0]) + ", " +
                                       std::to_string(shape[1]) + "], the base has " +
                                       info.Describe());
  }
  if (a.shape[0] > std::min(shape[0], shape[1])) {
    return Mismatch(weight.weight, "has a rank above its own, " + std::to_string(a.shape[0]));
  }
  LowrankSource source{a.shape[0], *ElementOf(a.dtype),      *ElementOf(b.dtype), nullptr,
                       nullptr,    ScaleSource(weight.scale)};
  SIGNUM_ASSIGN(source.a, adapter.Open(weight.a));
  SIGNUM_ASSIGN(source.b, adapter.Open(weight.b));
  return source;
}

// A shard of the base with the adapted weights in their places.
std::shared_ptr<const ByteSource> MergedShard(const Checkpoint& base,
                                              const Checkpoint::Shard& shard,
                                              const AdapterFactors& factors) {
  const auto& file = base.files()[shard.file].bytes;
  const uint64_t begin = shard.header.header_bytes;
  std::vector<std::shared_ptr<const ByteSource>> parts{
      std::make_shared<SliceSource>(file, 0, begin)};
  for (const SafetensorsEntry& entry : shard.header.tensors) {
    std::shared_ptr<const ByteSource> data =
        std::make_shared<SliceSource>(file, begin + entry.begin, entry.end - entry.begin);
    const auto adapted = factors.find(entry.info.name);
    if (adapted != factors.end()) {
      data = MakeLowrank(entry.info,
                         {std::move(data), *ElementOf(entry.info.dtype), entry.info.shape[0]},
                         adapted->second);
    }
    parts.push_back(std::move(data));
  }
  return std::make_shared<ConcatSource>(std::move(parts));
}

}  // namespace

Result<MergedAdapter> MergeAdapter(const std::vector<CheckpointFile>& base_files,
                                   const Checkpoint& adapter) {
  SIGNUM_ASSIGN(const auto base, Checkpoint::Parse(base_files));
  SIGNUM_ASSIGN(const auto weights, ParseAdapter(adapter));
  auto factors = std::make_shared<AdapterFactors>();
  for (const AdapterWeight& weight : weights) {
    SIGNUM_ASSIGN(LowrankSource source, FactorsOf(*base, adapter, weight));
    factors->emplace(weight.weight, std::move(source));
  }
  std::vector<CheckpointFile> files = base->files();
  for (const Checkpoint::Shard& shard : base->shards()) {
    files[shard.file].bytes = MergedShard(*base, shard, *factors);
  }
  MergedAdapter merged;
  SIGNUM_ASSIGN(merged.checkpoint, Checkpoint::Parse(std::move(files)));
  merged.factors = std::move(factors);
  return merged;
}

}  // namespace signum
