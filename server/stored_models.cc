#include "server/stored_models.h"

#include "storage/format/delta_file.h"

namespace signum {

RecipeObjects::RecipeObjects(const ObjectStore& objects, const Digest& recipe_digest,
                             const Recipe& recipe)
    : objects_(objects) {
  digests_.insert(recipe_digest);
  for (const RecipeFile& file : recipe.files) {
    digests_.insert(file.safetensors ? file.header : file.digest);
    digests_.insert(file.tensors.begin(), file.tensors.end());
  }
}

Result<std::shared_ptr<const ByteSource>> RecipeObjects::OpenBlob(const Digest& digest) const {
  if (!Has(digest)) {
    return Fail(Errc::kNotFound, "unknown_object", "the base has no object " + digest.Text());
  }
  return objects_.Open(digest);
}

Result<std::vector<CheckpointFile>> FilesOf(const StoredCheckpoint& checkpoint) {
  std::vector<CheckpointFile> files;
  for (const RecipeFile& file : checkpoint.recipe().files) {
    SIGNUM_ASSIGN(auto bytes, checkpoint.OpenFile(file.path));
    files.push_back({file.path, std::move(bytes)});
  }
  return files;
}

Result<std::shared_ptr<const StoredCheckpoint>> StoredModels::OpenCheckpoint(const Digest& recipe) {
  if (auto known = checkpoints_.Find(recipe)) return known;
  SIGNUM_ASSIGN(auto opened, StoredCheckpoint::Open(objects_, recipe));
  checkpoints_.Insert(recipe, opened);
  return opened;
}

Result<std::shared_ptr<const RecipeObjects>> StoredModels::OpenObjects(const Digest& recipe) {
  if (auto known = objects_of_.Find(recipe)) return known;
  SIGNUM_ASSIGN(const auto bytes, objects_.Open(recipe));
  SIGNUM_ASSIGN(const auto text, ReadAll(*bytes, 1ull << 30));
  SIGNUM_ASSIGN(const Recipe parsed, Recipe::Parse(text));
  auto opened = std::make_shared<const RecipeObjects>(objects_, recipe, parsed);
  objects_of_.Insert(recipe, opened);
  return opened;
}

Result<std::shared_ptr<const Rebuilder>> StoredModels::OpenRebuilt(const VersionRecord& version) {
  if (auto known = rebuilders_.Find(*version.delta)) return known;
  SIGNUM_ASSIGN(const BaseRecord base, catalog_.GetBase(version.base));
  SIGNUM_ASSIGN(auto checkpoint, OpenCheckpoint(base.recipe));
  SIGNUM_ASSIGN(auto blobs, OpenObjects(base.recipe));
  SIGNUM_ASSIGN(auto file, objects_.Open(*version.delta));
  SIGNUM_ASSIGN(auto delta, DeltaReader::Open(std::move(file), version.delta->Text()));
  SIGNUM_ASSIGN(auto rebuilder, Rebuilder::Create(std::move(checkpoint), version.base_digest,
                                                  std::move(blobs), std::move(delta)));
  rebuilders_.Insert(*version.delta, rebuilder);
  return rebuilder;
}

}  // namespace signum
