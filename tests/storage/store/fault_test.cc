// File systems that fail and machines that lose power: what was acknowledged is there, what was not
// is there wholly or not at all, and the store goes on once the disk does. SIGNUM_POWER_CUTS sets
// how often the power fails (10 by default).

#include <rocksdb/env.h>

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <set>
#include <thread>

#include "storage/rocks_engine.h"
#include "tests/storage/store/fault_file_system.h"
#include "tests/storage/store/store_support.h"

namespace signum {
namespace {

class FaultTest : public ::testing::Test {
 protected:
  void Open() {
    auto opened = OpenRocksEngineOn(env_.get(), (directory_.path() / "store").string());
    ASSERT_THAT(opened, Ok());
    engine_ = *std::move(opened);
  }

  static std::string Key(uint32_t step, char part) {
    return "t/fault/x/" + std::to_string(step) + part;
  }
  static std::string BytesOf(uint32_t step) {
    return RandomBytes(1000 + 40'009 * (step % 50), step + 1);
  }

  // Two keys in one batch.
  Result<void> WriteKeys(uint32_t step) {
    Batch batch;
    batch.Put(Key(step, 'a'), std::to_string(step));
    batch.Put(Key(step, 'b'), std::to_string(step));
    SIGNUM_TRY(engine_->Commit(batch));
    const std::lock_guard lock(mutex_);
    keys_.insert(step);
    return {};
  }

  Result<void> WriteOneBlob(uint32_t step) {
    SIGNUM_ASSIGN(const auto writer, engine_->CreateBlob());
    SIGNUM_TRY(writer->Append(AsBytes(BytesOf(step))));
    SIGNUM_ASSIGN(const uint64_t id, writer->Seal());
    const std::lock_guard lock(mutex_);
    blobs_[id] = step;
    return {};
  }

  void Check() {
    for (const uint32_t step : keys_) {
      for (const char part : {'a', 'b'}) {
        EXPECT_EQ(*engine_->Get(Key(step, part)), std::to_string(step)) << "lost key " << step;
      }
    }
    const auto found = *engine_->Scan("t/fault/x/", "t/fault/x0", SIZE_MAX);
    EXPECT_EQ(found.size() % 2, 0u) << "half a batch";
    for (const auto& [id, step] : blobs_) {
      const auto blob = engine_->OpenBlob(id);
      ASSERT_THAT(blob, Ok()) << "lost blob " << step;
      EXPECT_TRUE(Contents(**blob) == BytesOf(step)) << "blob " << step;
    }
    for (const uint64_t id : *engine_->ListBlobs()) {
      const auto blob = engine_->OpenBlob(id);
      ASSERT_THAT(blob, Ok());
      EXPECT_EQ(Contents(**blob).size(), (*blob)->size()) << "half a blob";
    }
  }

  // Writes from two threads until one fails.
  void WriteUntilFailure(uint32_t first_step) {
    std::thread keys([&] {
      for (uint32_t step = first_step; WriteKeys(step).has_value(); ++step) {
      }
    });
    for (uint32_t step = first_step; WriteOneBlob(step).has_value(); ++step) {
    }
    keys.join();
  }

  TempDir directory_;
  std::shared_ptr<FaultFileSystem> files_ = FaultFileSystem::Make();
  std::unique_ptr<rocksdb::Env> env_ = rocksdb::NewCompositeEnv(files_);
  std::unique_ptr<Engine> engine_;
  std::mutex mutex_;
  std::set<uint32_t> keys_;             // acknowledged
  std::map<uint64_t, uint32_t> blobs_;  // acknowledged: id, step
};

TEST_F(FaultTest, PowerCutsLoseNothingAcknowledged) {
  const char* const text = std::getenv("SIGNUM_POWER_CUTS");
  const uint32_t cuts = text != nullptr ? static_cast<uint32_t>(std::atoi(text)) : 10;
  for (uint32_t cut = 0; cut < cuts; ++cut) {
    SCOPED_TRACE("power cut " + std::to_string(cut));
    Open();
    Check();
    if (HasFailure()) return;
    files_->FailAfter(20 + 37 * (cut % 11), true);
    WriteUntilFailure(cut * 100'000);
    engine_.reset();
    files_->LoseUnsynced(cut);
  }
  Open();
  Check();
  // How many of either came before a cut is the scheduler's business.
  EXPECT_GT(keys_.size() + blobs_.size(), cuts);
  EXPECT_FALSE(keys_.empty());
  EXPECT_FALSE(blobs_.empty());
}

// The loss itself is real: without it this whole file would show nothing.
TEST_F(FaultTest, WhatIsNotSyncedIsLost) {
  const std::string path = (directory_.path() / "file").string();
  const rocksdb::FileOptions options;
  size_t kept = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    std::unique_ptr<rocksdb::FSWritableFile> file;
    ASSERT_TRUE(files_->NewWritableFile(path, options, &file, nullptr).ok());
    ASSERT_TRUE(file->Append("safe", {}, nullptr).ok());
    ASSERT_TRUE(file->Sync({}, nullptr).ok());
    ASSERT_TRUE(file->Append("lost", {}, nullptr).ok());
    ASSERT_TRUE(file->Close({}, nullptr).ok());
    files_->LoseUnsynced(seed);
    std::error_code gone;
    const size_t size = std::filesystem::file_size(path, gone);
    if (gone) continue;
    EXPECT_GE(size, 4u);
    kept += size;
  }
  EXPECT_GT(kept, 0u);
  EXPECT_LT(kept, 20u * 8);
}

// Every single change fails once, in turn; the store says so and then goes on.
TEST_F(FaultTest, EachFailedWriteIsToldAndHealed) {
  Open();
  uint32_t step = 0;
  uint64_t told = 0;
  for (uint64_t change = 0;; ++change) {
    SCOPED_TRACE("change " + std::to_string(change));
    const uint64_t before = files_->changes();
    files_->FailAfter(change, false);
    for (int i = 0; i < 2; ++i) {
      if (WriteKeys(++step).has_error()) ++told;
      if (WriteOneBlob(++step).has_error()) ++told;
    }
    const bool beyond = files_->changes() - before <= change;
    files_->StopFailing();
    // What failed in the background is told to the next write, and healed by the one after it.
    if (WriteKeys(++step).has_error()) {
      ASSERT_THAT(WriteKeys(++step), Ok());
    }
    ASSERT_THAT(WriteOneBlob(++step), Ok());
    if (beyond) break;
  }
  EXPECT_GT(told, 10u);
  Check();
  engine_.reset();
  files_->LoseUnsynced(7);
  Open();
  Check();
}

}  // namespace
}  // namespace signum
