#include "client/node/delta_cache.h"

#include <gtest/gtest.h>

#include <fstream>

#include "client/node/live_memory.h"
#include "storage/base/file.h"
#include "tests/client/node/node_fixtures.h"
#include "tests/support/result_matchers.h"
#include "tests/support/temp_dir.h"

namespace signum::client {
namespace {

Digest DigestOf(std::string_view text) { return Sha256::Of(AsBytes(text)); }

class DeltaCacheTest : public testing::Test {
 protected:
  void Put(const DeltaCache& cache, std::string_view name, size_t bytes, int age_seconds) {
    const auto path = cache.DeltaPath(DigestOf(name));
    std::ofstream(path) << std::string(bytes, 'x');
    std::filesystem::last_write_time(
        path, std::filesystem::file_time_type::clock::now() - std::chrono::seconds{age_seconds});
  }
  bool Has(const DeltaCache& cache, std::string_view name) {
    return std::filesystem::exists(cache.DeltaPath(DigestOf(name)));
  }

  TempDir dir_;
};

TEST_F(DeltaCacheTest, TrimDropsTheLongestUnusedFirst) {
  const auto cache = DeltaCache::Open(dir_ / "cache", 2500).value();
  Put(*cache, "old", 1000, 300);
  Put(*cache, "middle", 1000, 200);
  Put(*cache, "new", 1000, 100);
  EXPECT_EQ(cache->TotalBytes(), 3000u);
  cache->Trim({});
  EXPECT_FALSE(Has(*cache, "old"));
  EXPECT_TRUE(Has(*cache, "middle"));
  EXPECT_TRUE(Has(*cache, "new"));
}

TEST_F(DeltaCacheTest, WhatWasTouchedOrIsNeededStays) {
  const auto cache = DeltaCache::Open(dir_ / "cache", 1500).value();
  Put(*cache, "touched", 1000, 300);
  Put(*cache, "needed", 1000, 400);
  Put(*cache, "idle", 1000, 100);
  cache->Touch(cache->DeltaPath(DigestOf("touched")));
  cache->Trim({DigestOf("needed")});
  EXPECT_TRUE(Has(*cache, "needed"));
  EXPECT_FALSE(Has(*cache, "idle"));
  EXPECT_FALSE(Has(*cache, "touched"));  // still over the bound without it
  Put(*cache, "small", 400, 100);
  cache->Trim({DigestOf("needed")});
  EXPECT_TRUE(Has(*cache, "small"));
}

TEST_F(DeltaCacheTest, PartsGoWithTheBoundAndStayWithTheirWish) {
  const auto cache = DeltaCache::Open(dir_ / "cache", 100).value();
  const std::string wanted = cache->DeltaPath(DigestOf("wanted")).string() + ".part";
  const std::string stale = cache->DeltaPath(DigestOf("stale")).string() + ".part";
  std::ofstream(wanted) << std::string(1000, 'x');
  std::ofstream(stale) << std::string(1000, 'x');
  cache->Trim({DigestOf("wanted")});
  EXPECT_TRUE(std::filesystem::exists(wanted));
  EXPECT_FALSE(std::filesystem::exists(stale));
}

TEST_F(DeltaCacheTest, WithoutABoundNothingGoes) {
  const auto cache = DeltaCache::Open(dir_ / "cache", 0).value();
  Put(*cache, "a", 100'000, 9000);
  cache->Trim({});
  EXPECT_TRUE(Has(*cache, "a"));
}

TEST_F(DeltaCacheTest, NamesADirectoryThatCannotBe) {
  std::ofstream(dir_ / "file") << "x";
  const auto cache = DeltaCache::Open(dir_ / "file", 0);
  ASSERT_FALSE(cache);
  EXPECT_NE(cache.error().message.find("file"), std::string::npos);
}

TEST_F(DeltaCacheTest, IsOneNodesAlone) {
  auto first = DeltaCache::Open(dir_ / "cache", 0);
  ASSERT_THAT(first, Ok());
  EXPECT_THAT(DeltaCache::Open(dir_ / "cache", 0),
              FailsWith(Errc::kUnavailable, "cache_in_use", "a directory of its own"));
  first->reset();
  EXPECT_THAT(DeltaCache::Open(dir_ / "cache", 0), Ok());
}

TEST_F(DeltaCacheTest, LiveIsRememberedAndDamageNoticed) {
  const LiveMemory memory(dir_.path());
  EXPECT_THAT(memory.Recall("acme"), FailsWith(Errc::kNotFound, "no_such_file", "acme.json"));
  const Digest base = DigestOf("base");
  const Manifest manifest = MakeManifest("acme", "chat", 3, base, "some bytes");
  const LiveModel live = LiveOf(manifest, "envelope", "http://h:1");
  EXPECT_THAT(memory.Remember("acme", {live}), Ok());
  EXPECT_EQ(memory.Recall("acme").value(), std::vector<LiveModel>{live});
  std::ofstream(dir_ / "acme.json") << R"({"models":[{"model":"chat"}]})";
  EXPECT_THAT(memory.Recall("acme"), FailsWith(Errc::kCorrupt, "bad_live_file", "version"));
}

}  // namespace
}  // namespace signum::client
