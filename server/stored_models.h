#pragma once

#include <memory>
#include <string_view>
#include <unordered_set>

#include "gpu/rebuild.h"
#include "storage/base/lru_cache.h"
#include "storage/catalog.h"
#include "storage/format/checkpoint.h"
#include "storage/object_store.h"

namespace signum {

// The objects that one recipe is put together from (headers, tensors, plain files) and the recipe
// itself.
class RecipeObjects final : public BaseBlobs {
 public:
  RecipeObjects(const ObjectStore& objects, const Digest& recipe_digest, const Recipe& recipe);
  bool Has(const Digest& digest) const { return digests_.contains(digest); }
  // Errc::kNotFound "unknown_object" for objects of other recipes, stored or not.
  Result<std::shared_ptr<const ByteSource>> OpenBlob(const Digest& digest) const override;

 private:
  const ObjectStore& objects_;
  std::unordered_set<Digest> digests_;
};

// The files of a stored checkpoint, as Checkpoint::Parse takes them.
Result<std::vector<CheckpointFile>> FilesOf(const StoredCheckpoint& checkpoint);

// Checkpoints of the store opened for reading, the last used kept open: parsing recipes, headers
// and delta files costs more than a range of their bytes. Thread-safe.
class StoredModels {
 public:
  StoredModels(const ObjectStore& objects, const Catalog& catalog)
      : objects_(objects), catalog_(catalog) {}

  Result<std::shared_ptr<const StoredCheckpoint>> OpenCheckpoint(const Digest& recipe);
  Result<std::shared_ptr<const RecipeObjects>> OpenObjects(const Digest& recipe);
  // The one-bit checkpoint of a ready version.
  Result<std::shared_ptr<const Rebuilder>> OpenRebuilt(const VersionRecord& version);

 private:
  const ObjectStore& objects_;
  const Catalog& catalog_;
  LruCache<Digest, StoredCheckpoint> checkpoints_{32};
  LruCache<Digest, RecipeObjects> objects_of_{64};
  LruCache<Digest, Rebuilder> rebuilders_{16};  // by delta file
};

}  // namespace signum
