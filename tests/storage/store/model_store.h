#pragma once

#include "storage/catalog.h"
#include "storage/object_record.h"
#include "storage/object_store.h"
#include "tests/storage/store/store_support.h"

namespace signum {

// tests/data/tiny-llama: a base and its fine-tunes.
std::filesystem::path ModelDirectory(const std::string& name);
// What du counts below a directory.
uint64_t DiskUsage(const std::filesystem::path& directory);

void FlipBit(const std::filesystem::path& path, uint64_t bit);

// A store with bases and versions of the tiny family.
class ModelStoreTest : public ::testing::Test {
 protected:
  void CreateBase(const std::string& name, const std::filesystem::path& directory);
  // A ready version of the fine-tune `model` whose "delta" is `delta_bytes` of noise. Its base is
  // "tiny", which is made where there is none.
  VersionRecord CreateVersion(const std::string& tenant, const std::string& model,
                              size_t delta_bytes);
  // The object's record as it is stored.
  ObjectRecord RecordOf(const Digest& digest);
  // Flips a bit in the middle of the file of an object's blob.
  void Damage(const Digest& digest);
  Result<void> DeleteKey(const std::string& key);

  uint64_t seed_ = 0;
  ManualClock clock_;
  EngineHolder engine_{kRocks};
  ObjectStore objects_{*engine_};
  Catalog catalog_{*engine_, clock_};
};

}  // namespace signum
