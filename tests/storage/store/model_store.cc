#include "tests/storage/store/model_store.h"

#include <sys/stat.h>

namespace signum {

std::filesystem::path ModelDirectory(const std::string& name) {
  return std::filesystem::path(SIGNUM_TEST_DATA) / "tiny-llama" / name;
}

uint64_t DiskUsage(const std::filesystem::path& directory) {
  uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    struct stat status {};
    if (::lstat(entry.path().c_str(), &status) == 0) {
      bytes += static_cast<uint64_t>(status.st_blocks) * 512;
    }
  }
  return bytes;
}

void ModelStoreTest::CreateBase(const std::string& name, const std::filesystem::path& directory) {
  const auto checkpoint = *Checkpoint::OpenDirectory(directory);
  const auto ingested = IngestCheckpoint(objects_, *checkpoint, {});
  ASSERT_THAT(ingested, Ok());
  BaseRecord base;
  base.name = name;
  base.digest = ingested->base_manifest_digest;
  base.recipe = ingested->recipe_digest;
  base.upload_bytes = ingested->hashed.recipe.TotalBytes();
  ASSERT_THAT(catalog_.CreateBase(base), Ok());
}

VersionRecord ModelStoreTest::CreateVersion(const std::string& tenant, const std::string& model,
                                            size_t delta_bytes) {
  const auto checkpoint = *Checkpoint::OpenDirectory(ModelDirectory(model));
  const auto ingested = IngestCheckpoint(objects_, *checkpoint, {});
  EXPECT_THAT(ingested, Ok());
  VersionRecord version;
  version.tenant = tenant;
  version.model = model;
  version.base = "tiny";
  version.upload_bytes = ingested->hashed.recipe.TotalBytes();
  version = *catalog_.CreateVersion(version);
  auto job = **catalog_.ClaimJob();
  version.recipe = ingested->recipe_digest;
  version.exact_kept = true;
  version.delta = objects_.Put(AsBytes(RandomBytes(delta_bytes, ++seed_)))->digest;
  version.manifest = objects_.Put(AsBytes("manifest of " + tenant + model))->digest;
  version.state = VersionState::kReady;
  job.state = JobState::kDone;
  EXPECT_THAT(catalog_.FinishVersion(version, job), Ok());
  return version;
}

}  // namespace signum
