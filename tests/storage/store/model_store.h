#pragma once

#include "storage/catalog.h"
#include "storage/object_store.h"
#include "tests/storage/store/store_support.h"

namespace signum {

// tests/data/tiny-llama: a base and its fine-tunes.
std::filesystem::path ModelDirectory(const std::string& name);
// What du counts below a directory.
uint64_t DiskUsage(const std::filesystem::path& directory);

// A store with bases and versions of the tiny family.
class ModelStoreTest : public ::testing::Test {
 protected:
  void CreateBase(const std::string& name, const std::filesystem::path& directory);
  // A ready version of the fine-tune `model` whose "delta" is `delta_bytes` of noise.
  VersionRecord CreateVersion(const std::string& tenant, const std::string& model,
                              size_t delta_bytes);

  uint64_t seed_ = 0;
  ManualClock clock_;
  EngineHolder engine_{kRocks};
  ObjectStore objects_{*engine_};
  Catalog catalog_{*engine_, clock_};
};

}  // namespace signum
