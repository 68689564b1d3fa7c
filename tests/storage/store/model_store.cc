#include "tests/storage/store/model_store.h"

#include <sys/stat.h>

#include <algorithm>
#include <fstream>

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

void FlipBit(const std::filesystem::path& path, uint64_t bit) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  char byte = 0;
  file.seekg(static_cast<std::streamoff>(bit / 8)).get(byte);
  file.seekp(static_cast<std::streamoff>(bit / 8)).put(static_cast<char>(byte ^ (1 << bit % 8)));
  ASSERT_TRUE(file.good()) << path;
}

void ModelStoreTest::CreateBase(const std::string& name, const std::filesystem::path& directory) {
  const auto checkpoint = *Checkpoint::OpenDirectory(directory);
  const auto ingested = IngestBase(objects_, *checkpoint, {});
  ASSERT_THAT(ingested, Ok());
  BaseRecord base;
  base.name = name;
  base.digest = ingested->manifest_digest;
  base.recipe = ingested->recipe_digest;
  base.upload_bytes = ingested->hashed.recipe.TotalBytes();
  ASSERT_THAT(catalog_.CreateBase(base), Ok());
}

VersionRecord ModelStoreTest::CreateVersion(const std::string& tenant, const std::string& model,
                                            size_t delta_bytes) {
  const auto checkpoint = *Checkpoint::OpenDirectory(ModelDirectory(model));
  if (!catalog_.GetBase("tiny")) CreateBase("tiny", ModelDirectory("base"));
  const auto base = catalog_.GetBase("tiny");
  const auto tiny = *StoredCheckpoint::Open(objects_, base->recipe);
  const auto ingested = IngestFineTune(objects_, *checkpoint, *tiny, {});
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

// What the record points into is not kept: sizes, base and blob are.
ObjectRecord ModelStoreTest::RecordOf(const Digest& digest) {
  const std::string key = ObjectKey(digest);
  auto record = *ObjectRecord::Decode(**engine_->Get(key), key);
  record.bytes = record.why = {};
  return record;
}

void ModelStoreTest::Damage(const Digest& digest) {
  const uint64_t blob = RecordOf(digest).blob;
  ASSERT_NE(blob, 0);
  const auto files = *engine_->ListFiles();
  const auto of_blob = [&](const EngineFile& file) { return file.blob == blob; };
  const auto file = std::find_if(files.begin(), files.end(), of_blob);
  ASSERT_NE(file, files.end());
  FlipBit(engine_.directory() / "store" / file->name, 4 * file->size);
}

Result<void> ModelStoreTest::DeleteKey(const std::string& key) {
  Batch batch;
  batch.Delete(key);
  return engine_->Commit(batch);
}

}  // namespace signum
