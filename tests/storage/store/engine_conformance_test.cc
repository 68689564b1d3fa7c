// What every engine must do (storage/engine.h). A new engine is added to the list at the end.

#include <atomic>
#include <mutex>
#include <thread>

#include "storage/rocks_blobs.h"
#include "tests/storage/store/store_support.h"

namespace signum {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class EngineConformance : public ::testing::TestWithParam<EngineKind> {
 protected:
  std::vector<std::string> Keys(std::string_view begin, std::string_view end, size_t limit) {
    const auto found = engine_->Scan(begin, end, limit);
    EXPECT_THAT(found, Ok());
    std::vector<std::string> keys;
    for (const KeyValue& item : *found) keys.push_back(item.key + "=" + item.value);
    return keys;
  }

  EngineHolder engine_{GetParam()};
};

TEST_P(EngineConformance, GetsWhatWasPut) {
  EXPECT_EQ(*engine_->Get("t/a/x"), std::nullopt);
  const std::string binary("\0\xff\n\0", 4);
  ASSERT_THAT(PutKey(*engine_, "t/a/x", binary), Ok());
  EXPECT_EQ(*engine_->Get("t/a/x"), binary);
  ASSERT_THAT(PutKey(*engine_, "t/a/x", ""), Ok());
  EXPECT_EQ(*engine_->Get("t/a/x"), "");
  Batch remove;
  remove.Delete("t/a/x");
  ASSERT_THAT(engine_->Commit(remove), Ok());
  EXPECT_EQ(*engine_->Get("t/a/x"), std::nullopt);
}

TEST_P(EngineConformance, ScansInOrderWithinBounds) {
  for (const char* key : {"t/a/2", "t/a/1", "t/a/10", "t/b/1", "t/a/3"}) {
    ASSERT_THAT(PutKey(*engine_, key, "v"), Ok());
  }
  EXPECT_THAT(Keys("t/a/", "t/a0", 100), ElementsAre("t/a/1=v", "t/a/10=v", "t/a/2=v", "t/a/3=v"));
  EXPECT_THAT(Keys("t/a/10", "t/a/3", 100), ElementsAre("t/a/10=v", "t/a/2=v"));
  EXPECT_THAT(Keys("t/a/", "t/a0", 2), ElementsAre("t/a/1=v", "t/a/10=v"));
  EXPECT_THAT(Keys("t/a/", "t/a0", 0), IsEmpty());
  EXPECT_THAT(Keys("t/b0", "t/a/", 100), IsEmpty());
}

TEST_P(EngineConformance, CommitsAllOrNothing) {
  ASSERT_THAT(PutKey(*engine_, "t/a/x", "1"), Ok());
  Batch batch;
  batch.Require("t/a/x", "1");
  batch.Require("t/a/y", "there");
  batch.Put("t/a/x", "2");
  batch.Put("t/a/z", "3");
  EXPECT_THAT(engine_->Commit(batch),
              FailsWith(Errc::kPrecondition, "precondition_failed", "t/a/y"));
  EXPECT_EQ(*engine_->Get("t/a/x"), "1");
  EXPECT_EQ(*engine_->Get("t/a/z"), std::nullopt);
}

TEST_P(EngineConformance, ChecksPreconditions) {
  Batch absent;
  absent.Require("t/a/x", std::nullopt);
  absent.Put("t/a/x", "1");
  EXPECT_THAT(engine_->Commit(absent), Ok());
  EXPECT_THAT(engine_->Commit(absent), FailsWith(Errc::kPrecondition, "precondition_failed", ""));
  Batch exact;
  exact.Require("t/a/x", "1");
  exact.Put("t/a/x", "2");
  EXPECT_THAT(engine_->Commit(exact), Ok());
  EXPECT_THAT(engine_->Commit(exact), FailsWith(Errc::kPrecondition, "precondition_failed", ""));
  EXPECT_EQ(*engine_->Get("t/a/x"), "2");
}

// Every increment is a read and a conditional write; none may be lost.
TEST_P(EngineConformance, SerializesConcurrentCommits) {
  constexpr int kThreads = 8;
  constexpr int kIncrements = 25;
  ASSERT_THAT(PutKey(*engine_, "t/a/n", "0"), Ok());
  std::vector<std::jthread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int done = 0; done < kIncrements;) {
        const std::string now = **engine_->Get("t/a/n");
        Batch batch;
        batch.Require("t/a/n", now);
        batch.Put("t/a/n", std::to_string(std::stoi(now) + 1));
        if (engine_->Commit(batch)) ++done;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(*engine_->Get("t/a/n"), std::to_string(kThreads * kIncrements));
}

TEST_P(EngineConformance, KeepsBlobsOfAllSizes) {
  constexpr size_t kMiB = 1 << 20;
  for (const size_t size : {size_t{0}, size_t{1}, kMiB - 1, kMiB, kMiB + 1, 3 * kMiB + 7}) {
    const std::string bytes = RandomBytes(size, size);
    const auto blob = engine_->OpenBlob(WriteBlob(*engine_, bytes));
    ASSERT_THAT(blob, Ok());
    EXPECT_EQ((*blob)->size(), size);
    EXPECT_TRUE(Contents(**blob) == bytes) << size;
  }
}

TEST_P(EngineConformance, KeepsBlobsWrittenInPieces) {
  const std::string bytes = RandomBytes((2 << 20) + 12345, 1);
  for (const size_t piece : {size_t{4097}, size_t{1} << 20, size_t{1500000}}) {
    const auto blob = engine_->OpenBlob(WriteBlob(*engine_, bytes, piece));
    ASSERT_THAT(blob, Ok());
    EXPECT_TRUE(Contents(**blob) == bytes) << piece;
  }
}

TEST_P(EngineConformance, ReadsRanges) {
  const std::string bytes = RandomBytes((3 << 20) + 100, 2);
  const auto blob = *engine_->OpenBlob(WriteBlob(*engine_, bytes));
  for (const auto& [offset, length] : std::vector<std::pair<size_t, size_t>>{
           {0, 10}, {(1 << 20) - 5, 10}, {5, 2 << 20}, {bytes.size() - 1, 1}, {bytes.size(), 0}}) {
    std::string out(length, '\0');
    const MutableBytes into(reinterpret_cast<std::byte*>(out.data()), length);
    ASSERT_THAT(blob->Read(offset, into), Ok());
    EXPECT_TRUE(out == bytes.substr(offset, length)) << offset;
  }
  std::byte one[1];
  EXPECT_THAT(blob->Read(bytes.size(), one), FailsWith(Errc::kInvalid, "out_of_range", ""));
}

TEST_P(EngineConformance, HoldsRangesInMemory) {
  const std::string bytes = RandomBytes((2 << 20) + 77, 6);
  const auto blob = *engine_->OpenBlob(WriteBlob(*engine_, bytes));
  std::string all;
  while (all.size() < bytes.size()) {
    const auto held = blob->Hold(all.size(), UINT64_MAX);
    ASSERT_THAT(held, Ok());
    ASSERT_FALSE(held->bytes.empty());
    all += AsText(held->bytes);
  }
  EXPECT_TRUE(all == bytes);
  const auto held = blob->Hold((1 << 20) - 3, 2);
  ASSERT_THAT(held, Ok());
  EXPECT_EQ(AsText(held->bytes), bytes.substr((1 << 20) - 3, 2));
  EXPECT_THAT(blob->Hold(bytes.size(), 1), FailsWith(Errc::kInvalid, "out_of_range", ""));
}

TEST_P(EngineConformance, HeldBytesOutliveTheEngine) {
  const std::string bytes = RandomBytes(1000, 7);
  auto blob = *engine_->OpenBlob(WriteBlob(*engine_, bytes));
  const auto held = blob->Hold(10, 900);
  ASSERT_THAT(held, Ok());
  blob.reset();
  engine_.Close();
  EXPECT_EQ(AsText(held->bytes), bytes.substr(10, 900));
}

TEST_P(EngineConformance, LeavesNothingOfAnUnsealedBlob) {
  const EngineUsage before = *engine_->Usage();
  {
    auto writer = *engine_->CreateBlob();
    ASSERT_THAT(writer->Append(AsBytes(RandomBytes(5 << 20, 3))), Ok());
  }
  EXPECT_THAT(*engine_->ListBlobs(), IsEmpty());
  const EngineUsage after = *engine_->Usage();
  EXPECT_EQ(after.blob_bytes, before.blob_bytes);
  EXPECT_LT(after.metadata_bytes, before.metadata_bytes + (1 << 20));
}

TEST_P(EngineConformance, ListsAndDeletesBlobs) {
  const std::string bytes = RandomBytes(2 << 20, 4);
  const uint64_t first = WriteBlob(*engine_, bytes);
  const uint64_t empty = WriteBlob(*engine_, "");
  const uint64_t last = WriteBlob(*engine_, bytes);
  EXPECT_THAT(*engine_->ListBlobs(), ElementsAre(first, empty, last));
  const uint64_t full = engine_->Usage()->blob_bytes;
  EXPECT_THAT(engine_->DeleteBlob(first), Ok());
  EXPECT_THAT(engine_->DeleteBlob(empty), Ok());
  EXPECT_THAT(*engine_->ListBlobs(), ElementsAre(last));
  EXPECT_LT(engine_->Usage()->blob_bytes, full - bytes.size() / 2);
  EXPECT_THAT(engine_->DeleteBlob(first), FailsWith(Errc::kNotFound, "unknown_blob", ""));
  EXPECT_THAT(engine_->OpenBlob(first), FailsWith(Errc::kNotFound, "unknown_blob", ""));
  EXPECT_TRUE(Contents(**engine_->OpenBlob(last)) == bytes);
}

TEST_P(EngineConformance, NeverReusesABlobId) {
  const uint64_t first = WriteBlob(*engine_, "a");
  ASSERT_THAT(engine_->DeleteBlob(first), Ok());
  const uint64_t second = WriteBlob(*engine_, "b");
  EXPECT_GT(second, first);
  engine_.Reopen();
  EXPECT_GT(WriteBlob(*engine_, "c"), second);
}

TEST_P(EngineConformance, WritesBlobsFromManyThreads) {
  std::atomic<int> wrong = 0;
  std::vector<std::jthread> threads;
  for (uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (uint64_t i = 0; i < 5; ++i) {
        const std::string bytes = RandomBytes(300'000 + 100'000 * i, 100 * t + i);
        const auto blob = engine_->OpenBlob(WriteBlob(*engine_, bytes, 70'000));
        if (!blob || Contents(**blob) != bytes) ++wrong;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(engine_->ListBlobs()->size(), 20);
}

TEST_P(EngineConformance, ABlobSourceOutlivesItsEngine) {
  const std::string bytes = RandomBytes(100'000, 5);
  const auto blob = *engine_->OpenBlob(WriteBlob(*engine_, bytes));
  engine_.Close();
  EXPECT_TRUE(Contents(*blob) == bytes);
}

TEST_P(EngineConformance, LeasesExcludeOthersUntilTheyEnd) {
  auto lease = engine_->AcquireLease("gc", "one", 60'000'000);
  ASSERT_THAT(lease, Ok());
  EXPECT_THAT(engine_->AcquireLease("gc", "two", 1),
              FailsWith(Errc::kConflict, "lease_held", "one"));
  EXPECT_THAT(engine_->AcquireLease("scrub", "two", 1), Ok());
  EXPECT_THAT((*lease)->Renew(), Ok());
  lease->reset();
  EXPECT_THAT(engine_->AcquireLease("gc", "two", 1), Ok());
}

TEST_P(EngineConformance, AnExpiredLeaseIsLostToWhoTakesIt) {
  auto lease = *engine_->AcquireLease("gc", "one", 1);
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  const auto other = *engine_->AcquireLease("gc", "two", 60'000'000);
  EXPECT_THAT(lease->Renew(), FailsWith(Errc::kConflict, "lease_lost", "gc"));
  lease.reset();  // releases nothing of the other's
  EXPECT_THAT(engine_->AcquireLease("gc", "one", 1), FailsWith(Errc::kConflict, "lease_held", ""));
}

TEST_P(EngineConformance, TellsWatchersOfCommits) {
  std::vector<std::string> seen;
  auto handle = engine_->Watch("t/a/", [&](std::string_view key) { seen.emplace_back(key); });
  Batch batch;
  batch.Put("t/a/x", "1");
  batch.Delete("t/a/y");
  ASSERT_THAT(engine_->Commit(batch), Ok());
  ASSERT_THAT(PutKey(*engine_, "t/b/x", "1"), Ok());
  batch.Require("t/a/x", "2");
  EXPECT_FALSE(engine_->Commit(batch));
  EXPECT_THAT(seen, ElementsAre("t/a/x", "t/a/y"));
  handle.reset();
  ASSERT_THAT(PutKey(*engine_, "t/a/x", "3"), Ok());
  EXPECT_EQ(seen.size(), 2);
}

TEST_P(EngineConformance, AWatcherSeesWhatItWasToldOf) {
  std::mutex mutex;
  std::vector<std::jthread> readers;
  std::atomic<int> missing = 0;
  auto handle = engine_->Watch("t/a/", [&](std::string_view key) {
    std::lock_guard lock(mutex);
    readers.emplace_back([&, key = std::string(key)] {
      if (!engine_->Get(key)->has_value()) ++missing;
    });
  });
  for (int i = 0; i < 20; ++i) ASSERT_THAT(PutKey(*engine_, "t/a/" + std::to_string(i), ""), Ok());
  handle.reset();
  readers.clear();
  EXPECT_EQ(missing, 0);
}

INSTANTIATE_TEST_SUITE_P(Engines, EngineConformance, ::testing::Values(kMemory, kRocks),
                         EngineName);

}  // namespace
}  // namespace signum
