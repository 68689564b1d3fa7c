#include "storage/format/checkpoint.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "storage/base/file.h"
#include "storage/base/name.h"
#include "storage/format/adapter.h"
#include "storage/format/canonical_json.h"
#include "storage/format/checkpoint_index.h"
#include "storage/format/delta_file.h"
#include "storage/format/pickle.h"
#include "storage/format/shard_name.h"

namespace signum {

namespace {

constexpr uint64_t kMaxConfigBytes = uint64_t{16} << 20;
constexpr uint64_t kMaxIndexBytes = uint64_t{64} << 20;

Error Refuse(std::string_view reason, std::string_view file, const std::string& why) {
  return Fail(Errc::kUnusable, reason, "file '" + Printable(file) + "': " + why);
}

Result<void> CheckPaths(const std::vector<CheckpointFile>& files) {
  for (size_t i = 0; i < files.size(); ++i) {
    SIGNUM_TRY(CheckFilePath(files[i].path));
    if (i > 0 && files[i].path == files[i - 1].path) {
      return Fail(Errc::kInvalid, "bad_path", "file '" + files[i].path + "' is given twice");
    }
    SIGNUM_ASSIGN(const bool pickle, IsPickleFile(files[i].path, *files[i].bytes));
    if (pickle) {
      return Refuse("pickle_file", files[i].path,
                    "is a pickle, which runs code when it is loaded; leave it out (weights belong "
                    "in safetensors files)");
    }
  }
  return {};
}

// The folder part of a path with its '/', empty at the top.
std::string_view FolderOf(std::string_view path) {
  const size_t slash = path.rfind('/');
  return path.substr(0, slash == std::string_view::npos ? 0 : slash + 1);
}

}  // namespace

// Puts a Checkpoint together; one step a function, each checks what the next relies on.
class CheckpointParser {
 public:
  explicit CheckpointParser(Checkpoint* checkpoint) : c_(*checkpoint) {}

  Result<void> Run() {
    std::sort(c_.files_.begin(), c_.files_.end(),
              [](const auto& a, const auto& b) { return a.path < b.path; });
    SIGNUM_TRY(CheckPaths(c_.files_));
    SIGNUM_TRY(ReadConfig());
    SIGNUM_TRY(ParseShards());
    SIGNUM_TRY(CheckIndexes());
    SIGNUM_TRY(CheckSiblings());
    return CollectTensors();
  }

 private:
  Result<void> ReadConfig() {
    const CheckpointFile* config = Find(c_.adapter_ ? "adapter_config.json" : "config.json");
    if (config == nullptr) {
      return Fail(Errc::kUnusable, "no_config", "the checkpoint has no config.json");
    }
    const Result<std::string> text = ReadAll(*config->bytes, kMaxConfigBytes);
    if (!text) return Refuse("bad_config", config->path, text.error().message);
    const Result<nlohmann::json> value = ParseJson(*text);
    if (!value) return Refuse("bad_config", config->path, value.error().message);
    if (!value->is_object()) return Refuse("bad_config", config->path, "is not a JSON object");
    c_.config_json_ = *text;
    return {};
  }

  Result<void> ParseShards() {
    for (size_t i = 0; i < c_.files_.size(); ++i) {
      if (!c_.files_[i].path.ends_with(".safetensors")) continue;
      SIGNUM_ASSIGN(SafetensorsHeader header,
                    ParseSafetensors(*c_.files_[i].bytes, c_.files_[i].path));
      c_.shards_.push_back({i, std::move(header)});
    }
    return {};
  }

  Result<void> CheckIndexes() {
    for (const CheckpointFile& file : c_.files_) {
      if (!file.path.ends_with(kIndexSuffix)) continue;
      const Result<std::string> text = ReadAll(*file.bytes, kMaxIndexBytes);
      if (!text) return Refuse("bad_index", file.path, text.error().message);
      SIGNUM_ASSIGN(const CheckpointIndex index, ParseCheckpointIndex(*text, file.path));
      SIGNUM_TRY(CheckIndex(file.path, index));
    }
    return {};
  }

  // A shard named like one of several wants the others, also where no index asks for them.
  Result<void> CheckSiblings() const {
    for (const Checkpoint::Shard& shard : c_.shards_) {
      const std::string& path = c_.files_[shard.file].path;
      const std::optional<ShardName> name = SplitShardName(path);
      for (size_t i = 1; name && i <= name->count; ++i) {
        const std::string sibling = name->Sibling(i);
        if (Find(sibling) != nullptr) continue;
        return Refuse("missing_shard", path,
                      "its sibling '" + Printable(sibling) + "' is not there");
      }
    }
    return {};
  }

  // The index and the shards of its folder must say the same.
  Result<void> CheckIndex(const std::string& path, const CheckpointIndex& index) {
    const std::string folder(FolderOf(path));
    for (const auto& [tensor, shard] : index.shard_of) {
      if (Find(folder + shard) == nullptr) {
        return Refuse("missing_shard", path,
                      "its shard '" + Printable(shard) + "' with tensor '" + Printable(tensor) +
                          "' is not there");
      }
    }
    size_t found = 0;
    for (const Checkpoint::Shard& shard : c_.shards_) {
      const std::string& file = c_.files_[shard.file].path;
      if (!IsCovered(file, folder, index)) continue;
      for (const SafetensorsEntry& entry : shard.header.tensors) {
        const auto at = index.shard_of.find(entry.info.name);
        if (at == index.shard_of.end() || folder + at->second != file) {
          return Refuse("bad_index", path,
                        "tensor '" + Printable(entry.info.name) + "' lies in '" + file +
                            "', which the index does not say");
        }
        ++found;
      }
    }
    return found == index.shard_of.size() ? Result<void>() : NotInShard(path, folder, index);
  }

  // Shards that an index answers for: those in its own folder, and those it names below.
  static bool IsCovered(std::string_view file, std::string_view folder,
                        const CheckpointIndex& index) {
    if (FolderOf(file) == folder) return true;
    return file.starts_with(folder) &&
           std::any_of(index.shard_of.begin(), index.shard_of.end(), [&](const auto& entry) {
             return file.substr(folder.size()) == entry.second;
           });
  }

  // Names a tensor that its shard lacks; there is one.
  Error NotInShard(const std::string& path, const std::string& folder,
                   const CheckpointIndex& index) const {
    std::set<std::pair<std::string_view, std::string_view>> present;
    for (const Checkpoint::Shard& shard : c_.shards_) {
      for (const SafetensorsEntry& entry : shard.header.tensors) {
        present.emplace(entry.info.name, c_.files_[shard.file].path);
      }
    }
    const auto at = std::find_if(index.shard_of.begin(), index.shard_of.end(), [&](const auto& e) {
      return !present.contains({e.first, folder + e.second});
    });
    return Refuse(
        "bad_index", path,
        "shard '" + Printable(at->second) + "' lacks tensor '" + Printable(at->first) + "'");
  }

  Result<void> CollectTensors() {
    std::vector<Checkpoint::Place> places;
    for (size_t s = 0; s < c_.shards_.size(); ++s) {
      for (size_t e = 0; e < c_.shards_[s].header.tensors.size(); ++e) places.push_back({s, e});
    }
    if (places.empty()) {
      return Fail(Errc::kUnusable, "no_weights",
                  "the checkpoint has no tensor in safetensors files");
    }
    std::sort(places.begin(), places.end(),
              [&](const auto& a, const auto& b) { return Info(a).name < Info(b).name; });
    for (const Checkpoint::Place& place : places) {
      SIGNUM_TRY(CheckTensorName(place));
      c_.tensors_.push_back(Info(place));
      c_.places_.push_back(place);
    }
    return {};
  }

  Result<void> CheckTensorName(const Checkpoint::Place& place) const {
    const std::string& name = Info(place).name;
    const std::string& file = c_.files_[c_.shards_[place.shard].file].path;
    if (!c_.tensors_.empty() && c_.tensors_.back().name == name) {
      return Refuse("duplicate_tensor", file,
                    "tensor '" + Printable(name) + "' is also in '" +
                        c_.files_[c_.shards_[c_.places_.back().shard].file].path + "'");
    }
    if (!name.starts_with(kReservedPrefix)) return {};
    return Refuse("reserved_name", file,
                  "tensor '" + Printable(name) + "' begins with 'signum.', which is reserved");
  }

  const TensorInfo& Info(const Checkpoint::Place& place) const {
    return c_.shards_[place.shard].header.tensors[place.entry].info;
  }

  const CheckpointFile* Find(std::string_view path) const {
    const auto at =
        std::lower_bound(c_.files_.begin(), c_.files_.end(), path,
                         [](const CheckpointFile& f, std::string_view p) { return f.path < p; });
    return at != c_.files_.end() && at->path == path ? &*at : nullptr;
  }

  Checkpoint& c_;
};

Result<std::shared_ptr<const Checkpoint>> Checkpoint::Parse(std::vector<CheckpointFile> files) {
  auto checkpoint = std::make_shared<Checkpoint>();
  checkpoint->files_ = std::move(files);
  SIGNUM_TRY(CheckpointParser(checkpoint.get()).Run());
  return std::shared_ptr<const Checkpoint>(std::move(checkpoint));
}

Result<std::shared_ptr<const Checkpoint>> Checkpoint::ParseFineTune(
    std::vector<CheckpointFile> files) {
  auto checkpoint = std::make_shared<Checkpoint>();
  checkpoint->adapter_ = IsAdapter(files);
  checkpoint->files_ = std::move(files);
  SIGNUM_TRY(CheckpointParser(checkpoint.get()).Run());
  return std::shared_ptr<const Checkpoint>(std::move(checkpoint));
}

Result<std::shared_ptr<const Checkpoint>> Checkpoint::OpenDirectory(
    const std::filesystem::path& directory) {
  SIGNUM_ASSIGN(std::vector<CheckpointFile> files, FilesIn(directory));
  return Parse(std::move(files));
}

Result<std::vector<CheckpointFile>> Checkpoint::FilesIn(const std::filesystem::path& directory) {
  namespace fs = std::filesystem;
  std::vector<CheckpointFile> files;
  std::error_code error;
  fs::recursive_directory_iterator at(directory, error);
  for (; !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
    if (at->path().filename().native().starts_with('.')) {
      at.disable_recursion_pending();
      continue;
    }
    std::error_code entry_error;  // a link to nowhere, say
    const bool regular = at->is_regular_file(entry_error);
    if (entry_error) return FromErrno(entry_error.value(), at->path().string());
    if (!regular) continue;
    SIGNUM_ASSIGN(auto bytes, MappedFile::Open(at->path()));
    files.push_back({at->path().lexically_relative(directory).generic_string(), std::move(bytes)});
  }
  if (error) return FromErrno(error.value(), directory.string());
  return files;
}

Result<std::shared_ptr<const ByteSource>> Checkpoint::Open(size_t index) const {
  const Shard& shard = shards_[places_[index].shard];
  const SafetensorsEntry& entry = shard.header.tensors[places_[index].entry];
  return std::make_shared<SliceSource>(
      files_[shard.file].bytes, shard.header.header_bytes + entry.begin, entry.end - entry.begin);
}

}  // namespace signum
