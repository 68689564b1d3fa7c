#include "gpu/distill/train_state.h"

#include <charconv>

#include "storage/base/digest.h"
#include "storage/base/file.h"
#include "storage/format/safetensors.h"

namespace signum {
namespace {

constexpr std::string_view kFormat = "signum.training";
constexpr uint64_t kLargestFile = uint64_t{1} << 34;

template <class T>
std::string BytesOf(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

struct Parts {
  std::vector<SafetensorsEntry> entries;
  std::string data;

  template <class T>
  void Add(std::string name, Dtype dtype, std::vector<uint64_t> shape, const std::vector<T>& from) {
    entries.push_back({{std::move(name), dtype, std::move(shape)}, 0, 0});
    data += BytesOf(from);
  }
  void AddFloats(const std::string& name, const std::vector<float>& from) {
    Add(name, Dtype::kF32, {from.size()}, from);
  }
};

class Reader {
 public:
  Reader(const std::string& bytes, SafetensorsHeader header)
      : bytes_(bytes), header_(std::move(header)) {}

  std::string_view Metadata(const std::string& name) const {
    const auto at = header_.metadata.find(name);
    return at == header_.metadata.end() ? std::string_view() : std::string_view(at->second);
  }
  template <class T>
  std::vector<T> Values(std::string_view name, Dtype dtype) const {
    for (const SafetensorsEntry& entry : header_.tensors) {
      if (entry.info.name != name || entry.info.dtype != dtype) continue;
      std::vector<T> values(entry.info.elements());
      std::memcpy(values.data(), bytes_.data() + header_.header_bytes + entry.begin,
                  entry.info.bytes());
      return values;
    }
    return {};
  }

 private:
  const std::string& bytes_;
  SafetensorsHeader header_;
};

int64_t Number(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? value : -1;
}

}  // namespace

Result<void> SaveTraining(const std::filesystem::path& file, const TrainingKey& key,
                          const SavedTraining& saved) {
  Parts parts;
  parts.Add("rows", Dtype::kI32,
            {static_cast<uint64_t>(saved.rows.count()), static_cast<uint64_t>(saved.rows.tokens)},
            saved.rows.ids);
  std::map<std::string, std::string> metadata = {{"format", std::string(kFormat)},
                                                 {"key", key.rows},
                                                 {"tokens", std::to_string(saved.rows.tokens)}};
  if (saved.state) {
    metadata["delta"] = key.delta;
    metadata["step"] = std::to_string(saved.state->step);
    parts.AddFloats("scales", saved.state->scales);
    parts.AddFloats("first", saved.state->first);
    parts.AddFloats("second", saved.state->second);
  }
  metadata["sha256"] = Sha256::Of(AsBytes(parts.data)).Text();
  const std::string header = BuildSafetensorsHeader(parts.entries, metadata, 8);
  return WriteFileAtomically(file, AsBytes(header + parts.data));
}

std::optional<SavedTraining> LoadTraining(const std::filesystem::path& file,
                                          const TrainingKey& key) {
  const auto bytes = ReadFile(file, kLargestFile);
  if (!bytes) return std::nullopt;
  auto header = ParseSafetensors(MemorySource(*bytes), file.string());
  if (!header) return std::nullopt;
  const uint64_t begin = header->header_bytes;
  const Reader reader(*bytes, *std::move(header));
  const std::string_view data = std::string_view(*bytes).substr(begin);
  if (reader.Metadata("format") != kFormat || reader.Metadata("key") != key.rows ||
      reader.Metadata("sha256") != Sha256::Of(AsBytes(data)).Text()) {
    return std::nullopt;
  }
  SavedTraining saved;
  saved.rows.ids = reader.Values<int32_t>("rows", Dtype::kI32);
  saved.rows.tokens = Number(reader.Metadata("tokens"));
  if (saved.rows.tokens <= 0 || saved.rows.ids.empty()) return std::nullopt;
  if (reader.Metadata("step").empty() || reader.Metadata("delta") != key.delta) return saved;
  saved.state = TrainState{
      Number(reader.Metadata("step")), reader.Values<float>("scales", Dtype::kF32),
      reader.Values<float>("first", Dtype::kF32), reader.Values<float>("second", Dtype::kF32)};
  return saved;
}

}  // namespace signum
