#include <algorithm>

#include "storage/base/name.h"
#include "storage/format/delta_metadata.h"

namespace signum {

namespace {

constexpr uint64_t kMaxRecipeBytes = uint64_t{128} << 20;

// Checks that X.rows lists rows once each, in order.
Result<void> CheckAscending(const SafetensorsEntry& rows, const ByteSource& data) {
  SIGNUM_ASSIGN(const std::string bytes, ReadAll(data, data.size()));
  int64_t last = -1;
  for (size_t at = 0; at < bytes.size(); at += sizeof(int32_t)) {
    const int64_t row = LoadLe<int32_t>(bytes.data() + at);
    if (row <= last) {
      return Fail(Errc::kCorrupt, "bad_part",
                  "'" + Printable(rows.info.name) + "' does not ascend at entry " +
                      std::to_string(at / sizeof(int32_t)));
    }
    last = row;
  }
  return {};
}

}  // namespace

Result<std::shared_ptr<const DeltaReader>> DeltaReader::Open(std::shared_ptr<const ByteSource> file,
                                                             std::string_view name) {
  const std::shared_ptr<DeltaReader> reader(new DeltaReader());
  reader->file_ = std::move(file);
  const Result<void> loaded = reader->Load(name);
  if (loaded) return std::shared_ptr<const DeltaReader>(reader);
  return Fail(loaded.error().code, loaded.error().reason,
              "delta file '" + Printable(name) + "': " + loaded.error().message);
}

Result<void> DeltaReader::Load(std::string_view name) {
  Result<SafetensorsHeader> parsed = ParseSafetensors(*file_, name);
  if (!parsed) return Fail(Errc::kCorrupt, parsed.error().reason, parsed.error().message);
  safetensors_ = std::move(*parsed);
  SIGNUM_ASSIGN(header_, ParseDeltaMetadata(safetensors_.metadata));
  if (safetensors_.header_bytes % kDeltaAlignment != 0) {
    return Fail(Errc::kCorrupt, "bad_metadata", "its data does not begin on 256 bytes");
  }
  SIGNUM_ASSIGN(const PartTable table, GroupParts(safetensors_.tensors, header_.codecs));
  SIGNUM_ASSIGN(header_.codecs, CheckParts(table, header_.codecs));
  for (size_t i = 0; i < parts().size(); ++i) by_name_.emplace(parts()[i].info.name, i);
  for (const auto& [weight, weight_parts] : table) {
    const SafetensorsEntry* rows = weight_parts[Part::kRows];
    if (rows != nullptr) SIGNUM_TRY(CheckAscending(*rows, *OpenPart(*rows)));
  }
  return LoadRecipe();
}

Result<void> DeltaReader::LoadRecipe() {
  const SafetensorsEntry* entry = FindPart(kRecipeName);
  if (entry == nullptr) return Fail(Errc::kCorrupt, "missing_part", "it has no signum.recipe");
  SIGNUM_ASSIGN(const std::string text, ReadAll(*OpenPart(*entry), kMaxRecipeBytes));
  SIGNUM_ASSIGN(recipe_, Recipe::Parse(text));
  return {};
}

const SafetensorsEntry* DeltaReader::FindPart(std::string_view name) const {
  const auto at = by_name_.find(name);
  return at == by_name_.end() ? nullptr : &parts()[at->second];
}

std::shared_ptr<const ByteSource> DeltaReader::OpenPart(const SafetensorsEntry& part) const {
  return std::make_shared<SliceSource>(file_, data_begin() + part.begin, part.end - part.begin);
}

Result<std::shared_ptr<const ByteSource>> DeltaReader::OpenBlob(const Digest& digest) const {
  const SafetensorsEntry* entry = FindPart(BlobName(digest));
  if (entry == nullptr) {
    return Fail(Errc::kNotFound, "unknown_blob", "the delta does not carry " + digest.Text());
  }
  return OpenPart(*entry);
}

}  // namespace signum
