#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "storage/format/recipe.h"
#include "storage/format/safetensors.h"
#include "storage/format/tensor.h"

namespace signum {

// One file of a checkpoint that is to be parsed: where its bytes are and the path it has in it.
struct CheckpointFile {
  std::string path;
  std::shared_ptr<const ByteSource> bytes;
};

// A parsed checkpoint: config.json and every tensor of every safetensors shard, checked against
// each other. Errors are Errc::kUnusable and name file and tensor; reasons besides those of
// ParseSafetensors: no_config, bad_config, no_weights, missing_shard, bad_index, pickle_file,
// duplicate_tensor, reserved_name (a tensor whose name begins with "signum.").
class Checkpoint final : public CheckpointSource {
 public:
  struct Shard {
    size_t file;  // index into files()
    SafetensorsHeader header;
  };

  static Result<std::shared_ptr<const Checkpoint>> Parse(std::vector<CheckpointFile> files);
  // The same, or a PEFT adapter: adapter_config.json at the top in place of config.json. What a
  // fine-tune may be uploaded as (adapter.h).
  static Result<std::shared_ptr<const Checkpoint>> ParseFineTune(std::vector<CheckpointFile> files);
  // Every regular file below `directory` but hidden ones (names that begin with '.'),
  // memory-mapped.
  static Result<std::shared_ptr<const Checkpoint>> OpenDirectory(
      const std::filesystem::path& directory);
  // The files alone, for ParseFineTune.
  static Result<std::vector<CheckpointFile>> FilesIn(const std::filesystem::path& directory);

  const std::vector<CheckpointFile>& files() const { return files_; }  // sorted by path
  const std::vector<Shard>& shards() const { return shards_; }         // one per safetensors file
  const std::string& config_json() const { return config_json_; }      // or adapter_config.json
  bool is_adapter() const { return adapter_; }

  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  Result<std::shared_ptr<const ByteSource>> Open(size_t index) const override;
  std::optional<Digest> KnownDigest(size_t) const override { return std::nullopt; }

  // The file and the entry that tensors()[index] lies in.
  struct Place {
    size_t shard;
    size_t entry;
  };
  const std::vector<Place>& places() const { return places_; }

 private:
  friend class CheckpointParser;

  std::vector<CheckpointFile> files_;
  std::vector<Shard> shards_;
  std::vector<TensorInfo> tensors_;
  std::vector<Place> places_;
  std::string config_json_;
  bool adapter_ = false;
};

// Called with bytes done so far; returning false stops with Errc::kCancelled.
using ByteProgress = std::function<bool(uint64_t)>;

// Hashes a whole checkpoint: its recipe, and the base manifest's tensor table. Reads every byte
// once; several shards are hashed in parallel, so `progress` is called from several threads, one at
// a time.
struct HashedCheckpoint {
  Recipe recipe;
  std::vector<BaseTensor> tensors;  // sorted by name
  Digest BaseDigest() const;        // SHA-256 of SerializeBaseManifest(tensors)
};
Result<HashedCheckpoint> HashCheckpoint(const Checkpoint& checkpoint, const ByteProgress& progress);

// True for a 2-D embedding or output head, by name: rows are words of the vocabulary.
bool IsVocabularyTensor(const TensorInfo& info);

// Compares a fine-tune's architecture with its base's: config model_type, hidden_size,
// num_hidden_layers, heads, intermediate_size, and every tensor of the fine-tune against the base's
// shape. Pass: other float dtypes; grown vocabularies (more rows of a vocabulary tensor); a head
// that the fine-tune lacks because it ties it to the embedding (tie_word_embeddings); tensors that
// the base lacks where they are vocabulary tensors, 1-D or at most 64 Ki elements (they are stored
// raw). Errc::kUnusable "architecture_mismatch" naming field or tensor; "bad_config".
Result<void> CheckArchitecture(std::string_view base_config, const CheckpointSource& base,
                               std::string_view fine_config, const CheckpointSource& fine);

}  // namespace signum
