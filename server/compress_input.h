#pragma once

#include <functional>
#include <memory>
#include <string>

#include "gpu/merged_adapter.h"
#include "gpu/tokenizer/tokenizer.h"
#include "server/stored_models.h"
#include "server/version_options.h"
#include "storage/format/checkpoint.h"

namespace signum {

// What a delta is made from: the base and the fine-tune, opened, and how. Made by the job of a
// version, and again by a repair.
class CompressInput {
 public:
  // False stops with Errc::kCancelled.
  using GoOn = std::function<bool()>;

  explicit CompressInput(const ObjectStore& objects) : objects_(objects) {}

  // Base first, then one of the fine-tune: an upload whose `recipe` it is and which is kept open,
  // or what the exact tier keeps under a recipe's digest.
  Result<void> OpenBase(const BaseRecord& base);
  Result<void> OpenUpload(std::shared_ptr<const Checkpoint> upload, Recipe recipe,
                          const GoOn& go_on);
  Result<void> OpenExact(const Digest& recipe, const GoOn& go_on);

  // As asked for; the caller names device, threads and the file of a training's state.
  Result<MakeDeltaOptions> Options(const VersionOptions& asked) const;
  Result<MadeDelta> Make(const MakeDeltaOptions& options, const std::filesystem::path& output,
                         const MakeDeltaCallback& callback) const;

  const std::shared_ptr<const StoredCheckpoint>& base() const { return base_; }
  const std::shared_ptr<const RecipeObjects>& base_objects() const { return base_objects_; }
  const Recipe& recipe() const { return recipe_; }  // of what the delta gives back
  const std::string& architecture() const { return architecture_; }

 private:
  Result<void> PutOnBase(const Checkpoint& adapter, const GoOn& go_on);
  Result<std::string> FineFile(std::string_view path) const;  // a small file of the fine-tune
  Result<std::shared_ptr<const Tokenizer>> OpenTokenizer() const;
  Result<void> ReadCalibration(const VersionOptions& asked, DistillOptions& options) const;

  const ObjectStore& objects_;
  Digest base_digest_;
  std::string architecture_;
  std::shared_ptr<const StoredCheckpoint> base_;
  std::shared_ptr<const RecipeObjects> base_objects_;
  std::shared_ptr<const Checkpoint> uploaded_;     // where the fine-tune is not read from the store
  std::shared_ptr<const CheckpointSource> fine_;   // the stored checkpoint, or uploaded_
  std::shared_ptr<const AdapterFactors> factors_;  // of an upload that is an adapter
  std::unique_ptr<BlobSource> blobs_;
  Recipe recipe_;
};

}  // namespace signum
