// Online garbage collection, over a store with a base and its fine-tunes.

#include "storage/collector.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "storage/references.h"
#include "storage/savings.h"
#include "tests/storage/store/model_store.h"

namespace signum {
namespace {

constexpr int64_t kHour = 3600ll * 1'000'000;

class CollectorTest : public ModelStoreTest {
 protected:
  CollectReport Collect(int64_t grace = 0, bool dry_run = false) {
    auto report = collector_->Run({grace, dry_run, {}});
    EXPECT_THAT(report, Ok());
    return report.has_value() ? *std::move(report) : CollectReport();
  }

  // An object that nothing names.
  Digest PutGarbage(size_t size) {
    return objects_.Put(AsBytes(RandomBytes(size, ++seed_ + 1000)))->digest;
  }

  std::unique_ptr<StoreClock> store_clock_ = *StoreClock::Open(*engine_);
  std::unique_ptr<Collector> collector_ =
      std::make_unique<Collector>(*engine_, objects_, catalog_, *store_clock_);
};

TEST_F(CollectorTest, FreesWhatNothingNamesAndGivesItsRoomBack) {
  CreateBase("tiny", ModelDirectory("base"));
  const VersionRecord kept = CreateVersion("acme", "kjv", 500'000);
  CreateVersion("acme", "pysrc", 600'000);
  const VersionRecord gone = CreateVersion("acme", "sqlite", 700'000);
  ASSERT_THAT(catalog_.DeleteAlias("acme", "sqlite", "live", std::nullopt), Ok());
  ASSERT_THAT(catalog_.DeleteVersion("acme", "sqlite", 1), Ok());
  const uint64_t before = DiskUsage(engine_.directory());
  const CollectReport first = Collect();  // condemns
  EXPECT_EQ(first.removed, 0);
  EXPECT_GT(first.waiting, 10);
  EXPECT_TRUE(*objects_.Has(*gone.delta));
  const CollectReport second = Collect();
  EXPECT_EQ(second.removed, first.waiting);
  EXPECT_GT(second.removed_bytes, 3'900'000);  // half of the upload, and the delta
  EXPECT_LT(DiskUsage(engine_.directory()), before - 3'300'000);  // the rest is in the log
  EXPECT_FALSE(*objects_.Has(*gone.delta));
  EXPECT_FALSE(*objects_.Has(*gone.recipe));
  // What stays is whole.
  const auto stored = StoredCheckpoint::Open(objects_, *kept.recipe);
  ASSERT_THAT(stored, Ok());
  for (const RecipeFile& file : (*stored)->recipe().files) {
    const auto source = (*stored)->OpenFile(file.path);
    ASSERT_THAT(source, Ok());
    EXPECT_EQ(Sha256::Of(AsBytes(Contents(**source))), file.digest);
  }
  EXPECT_TRUE(*objects_.Has(*kept.delta));
  EXPECT_TRUE(*objects_.Has(*kept.manifest));
  EXPECT_TRUE(*objects_.Has(catalog_.GetBase("tiny")->digest));
  EXPECT_EQ(Collect().removed + Collect().waiting, 0);
}

TEST_F(CollectorTest, SmallObjectsGiveTheirRoomBackToo) {
  for (int i = 0; i < 200; ++i) PutGarbage(60'000);
  Collect();
  engine_.Reopen();  // what lies in the log becomes files
  store_clock_ = *StoreClock::Open(*engine_);
  ObjectStore objects(*engine_);
  Catalog catalog(*engine_, clock_);
  Collector collector(*engine_, objects, catalog, *store_clock_);
  const uint64_t before = DiskUsage(engine_.directory());
  ASSERT_THAT(collector.Run({0, false, {}}), Ok());
  EXPECT_LT(DiskUsage(engine_.directory()), before - 11'000'000);
}

TEST_F(CollectorTest, KeepsWhatIsYoung) {
  const Digest digest = PutGarbage(100);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Collect(kHour).waiting, 1);
  EXPECT_TRUE(*objects_.Has(digest));
}

// The grace is no matter of the wall clock.
TEST_F(CollectorTest, JumpsOfTheWallClockChangeNothing) {
  const Digest digest = PutGarbage(100);
  Collect(kHour);
  clock_.Advance(std::chrono::hours(24 * 365));
  EXPECT_EQ(Collect(kHour).removed, 0);
  clock_.Advance(-std::chrono::hours(24 * 365 * 10));
  EXPECT_EQ(Collect(kHour).removed, 0);
  EXPECT_TRUE(*objects_.Has(digest));
}

TEST_F(CollectorTest, TheGraceGoesOnAfterARestart) {
  PutGarbage(100);
  Collect(kHour);
  ASSERT_THAT(store_clock_->Save(), Ok());
  const int64_t before = store_clock_->Now();
  const auto again = *StoreClock::Open(*engine_);
  EXPECT_GE(again->Now(), before - 1'000'000);
  EXPECT_LT(again->Now(), before + kHour);
  Collector collector(*engine_, objects_, catalog_, *again);
  EXPECT_EQ(collector.Run({0, false, {}})->removed, 1);
}

TEST_F(CollectorTest, ADryRunTellsAndChangesNothing) {
  const Digest digest = PutGarbage(70'000);
  const CollectReport first = Collect(0, true);
  ASSERT_EQ(first.listed.size(), 1);
  EXPECT_EQ(first.listed[0].what, digest.Text());
  EXPECT_EQ(first.listed[0].bytes, 70'000);
  EXPECT_EQ(first.listed[0].why, "no base and no version names it");
  EXPECT_FALSE(first.listed[0].goes);
  EXPECT_EQ(Collect(0, true).waiting, 1) << "a dry run condemned it";
  Collect();
  EXPECT_TRUE(Collect(0, true).listed[0].goes);
  EXPECT_TRUE(*objects_.Has(digest));
}

TEST_F(CollectorTest, ADryRunTellsWhatAVersionAloneNames) {
  const VersionRecord version = CreateVersion("acme", "kjv", 100'000);
  CollectOptions options{0, true, {"acme/kjv@1"}};
  const auto report = collector_->Run(options);
  ASSERT_THAT(report, Ok());
  EXPECT_GT(report->waiting, 10);
  EXPECT_TRUE(std::any_of(report->listed.begin(), report->listed.end(), [](const Garbage& item) {
    return item.why == "only acme/kjv@1 names it, which is out of policy";
  }));
  EXPECT_LT(Collect(0, true).waiting, report->waiting - 10);
}

TEST_F(CollectorTest, WhoPutsACondemnedObjectKeepsIt) {
  for (const size_t size : {size_t{100}, size_t{70'000}}) {
    for (const bool expected : {true, false}) {
      const std::string bytes = RandomBytes(size, size + (expected ? 1 : 0));
      const Digest digest = objects_.Put(AsBytes(bytes))->digest;
      Collect();
      const auto put =
          objects_.Put(MemorySource(bytes), expected ? std::optional(digest) : std::nullopt);
      EXPECT_FALSE(put->created);
      EXPECT_EQ(Collect(kHour).removed, 0);
      EXPECT_EQ(Collect().removed, 1) << "condemned anew in the run before";
    }
  }
}

TEST_F(CollectorTest, KeepTakesACondemnationBack) {
  const Digest digest = PutGarbage(100);
  Collect();
  EXPECT_TRUE(*objects_.Keep(digest));
  EXPECT_EQ(Collect(0, true).waiting, 1);
  Collect(kHour);
  EXPECT_TRUE(*objects_.Has(digest));
  EXPECT_FALSE(*objects_.Keep(Sha256::Of(AsBytes("nothing"))));
}

// A slow ingest: its first object is condemned and its grace over before a record names it.
TEST_F(CollectorTest, NothingGoesThatAHolderPut) {
  const Digest before = PutGarbage(100);
  Collect();
  auto hold = objects_.HoldCollection();
  const Digest during = PutGarbage(100);
  Collect();
  EXPECT_FALSE(*objects_.Has(before)) << "condemned before the hold";
  for (int i = 0; i < 3; ++i) Collect();
  EXPECT_TRUE(*objects_.Has(during));
  hold.reset();
  Collect();
  EXPECT_FALSE(*objects_.Has(during));
}

TEST_F(CollectorTest, AnExactUploadThatIsGivenUpGoes) {
  CreateBase("tiny", ModelDirectory("base"));
  const VersionRecord version = CreateVersion("acme", "kjv", 100'000);
  ASSERT_THAT(catalog_.ForgetExact("acme", "kjv", 1), Ok());
  Collect();
  EXPECT_GT(Collect().removed_bytes, 3'000'000);
  EXPECT_TRUE(*objects_.Has(*version.recipe));
  EXPECT_TRUE(*objects_.Has(*version.delta));
  EXPECT_FALSE(catalog_.GetVersion("acme", "kjv", 1)->exact_kept);
}

TEST_F(CollectorTest, TheBaseOfWhatIsKeptIsKept) {
  CreateBase("tiny", ModelDirectory("base"));
  const VersionRecord version = CreateVersion("acme", "kjv", 500'000);
  ASSERT_THAT(DeleteKey("g/base/tiny"), Ok());  // as if bases could be deleted
  const auto exact_bytes = [&] {
    return AuditSavings(*engine_, objects_, catalog_, {.model = true})->groups.front().exact_bytes;
  };
  const uint64_t before = exact_bytes();
  EXPECT_GT(before, 6'000'000);  // the base's tensors count where they are needed
  Collect();
  Collect();
  EXPECT_EQ(exact_bytes(), before);
  const auto stored = *StoredCheckpoint::Open(objects_, *version.recipe);
  const auto weights = stored->OpenFile("model.safetensors");
  ASSERT_THAT(weights, Ok());
  EXPECT_EQ(Sha256::Of(AsBytes(Contents(**weights))),
            stored->recipe().Find("model.safetensors")->digest);
}

// ---- differences from others

constexpr NumberLayout kHalf{NumberKind::kFloat, 2};

// Two objects that nothing names, the second a difference from the first.
struct Encoded {
  std::string base, bytes;
  Digest base_digest, digest;
};

Encoded PutEncoded(ObjectStore& objects, size_t size) {
  Encoded made;
  made.base = made.bytes = RandomBytes(size, size);
  for (size_t i = 0; i < size; i += 100) made.bytes[i] = static_cast<char>(made.bytes[i] ^ 1);
  made.base_digest = Sha256::Of(AsBytes(made.base));
  made.digest = Sha256::Of(AsBytes(made.bytes));
  EXPECT_THAT(objects.Put(MemorySource(made.base), made.base_digest), Ok());
  const ObjectStore::Encoding encoding{kHalf, made.base_digest};
  EXPECT_THAT(objects.PutEncoded(MemorySource(made.bytes), made.digest, encoding), Ok());
  return made;
}

TEST_F(CollectorTest, WhoFindsADifferenceKeepsItsBaseToo) {
  for (const size_t size : {size_t{40'000}, size_t{1'000'000}}) {
    const Encoded made = PutEncoded(objects_, size);
    ASSERT_EQ(objects_.Describe(made.digest)->base, made.base_digest);
    Collect();
    EXPECT_TRUE(*objects_.Keep(made.digest));
    EXPECT_EQ(Collect(kHour).removed, 0);
    EXPECT_TRUE(Contents(**objects_.Open(made.digest)) == made.bytes);
    EXPECT_EQ(Collect().removed, 2) << "condemned anew in the run before";
  }
  EXPECT_TRUE(engine_->ListBlobs()->empty());
}

TEST_F(CollectorTest, WhoEncodesKeepsTheBase) {
  Encoded made = PutEncoded(objects_, 40'000);
  Collect();
  made.bytes[1] ^= 1;
  const Digest digest = Sha256::Of(AsBytes(made.bytes));
  const ObjectStore::Encoding encoding{kHalf, made.base_digest};
  ASSERT_THAT(objects_.PutEncoded(MemorySource(made.bytes), digest, encoding), Ok());
  EXPECT_EQ(Collect().removed, 1);  // what differed from it before
  EXPECT_TRUE(Contents(**objects_.Open(digest)) == made.bytes);
}

// Jobs that encode, while collections run without any grace.
TEST_F(CollectorTest, NoWriterLosesWhatItEncodes) {
  std::atomic<bool> done = false;
  std::thread collecting([&] {
    while (!done) EXPECT_THAT(collector_->Run({0, false, {}}), Ok());
  });
  for (int round = 0; round < 40; ++round) {
    const auto hold = objects_.HoldCollection();
    const Encoded made = PutEncoded(objects_, round % 2 == 0 ? 10'000 : 600'000);
    std::this_thread::sleep_for(std::chrono::milliseconds(round % 5));
    const auto object = objects_.Open(made.digest);
    ASSERT_THAT(object, Ok()) << round;
    EXPECT_TRUE(Contents(**object) == made.bytes);
  }
  done = true;
  collecting.join();
}

TEST_F(CollectorTest, StopsWhereARecipeIsLost) {
  CreateBase("tiny", ModelDirectory("base"));
  const size_t blobs = engine_->ListBlobs()->size();
  ASSERT_THAT(objects_.Delete(catalog_.GetBase("tiny")->recipe), Ok());
  EXPECT_THAT(collector_->Run({0, false, {}}), FailsWith(Errc::kNotFound, "unknown_object", ""));
  EXPECT_EQ(engine_->ListBlobs()->size(), blobs);
}

// Stopped at every step of a run, each time by another one.
TEST_F(CollectorTest, GoesOnWhereverItWasStopped) {
  CreateBase("tiny", ModelDirectory("base"));
  for (int i = 0; i < 50; ++i) PutGarbage(i % 2 == 0 ? 100 : 70'000);
  int stopped = 0;
  for (int stop_at = 0;; ++stop_at) {
    int step = 0;
    const auto run = collector_->Run({0, false, {}}, [&](double) { return step++ < stop_at; });
    if (run.has_value() && run->removed + run->waiting == 0) break;
    if (run.has_error()) ++stopped;
    ASSERT_LT(stop_at, 5000);
  }
  EXPECT_GT(stopped, 20);
  EXPECT_THAT(StoredCheckpoint::Open(objects_, catalog_.GetBase("tiny")->recipe), Ok());
  EXPECT_EQ(RemoveStrayBlobs(*engine_)->blobs, 0);
}

TEST_F(CollectorTest, OneRunAtATime) {
  const auto held = engine_->AcquireLease("collect", "another", kHour);
  EXPECT_THAT(collector_->Run({}), FailsWith(Errc::kConflict, "lease_held", "collect"));
}

TEST_F(CollectorTest, BlobsOfNobodyGoInTheSecondRun) {
  WriteBlob(*engine_, RandomBytes(300'000, 9));
  EXPECT_EQ(Collect().blobs, 0);
  EXPECT_EQ(Collect().blobs, 1);
  EXPECT_TRUE(engine_->ListBlobs()->empty());
}

TEST_F(CollectorTest, StrayBlobsGoAtStart) {
  PutGarbage(100'000);
  WriteBlob(*engine_, RandomBytes(300'000, 9));
  EXPECT_EQ(RemoveStrayBlobs(*engine_)->blobs, 1);
  EXPECT_EQ(engine_->ListBlobs()->size(), 1);
}

// Writers that name what they found, while collections run without any grace.
TEST_F(CollectorTest, NoWriterLosesWhatItNames) {
  std::atomic<bool> done = false;
  std::thread collecting([&] {
    while (!done) EXPECT_THAT(collector_->Run({0, false, {}}), Ok());
  });
  for (int round = 0; round < 40; ++round) {
    const std::string bytes = RandomBytes(round % 2 == 0 ? 1000 : 80'000, 5);  // the same each time
    const auto hold = objects_.HoldCollection();
    const auto put = objects_.Put(MemorySource(bytes), std::nullopt);
    ASSERT_THAT(put, Ok());
    std::this_thread::sleep_for(std::chrono::milliseconds(round % 5));
    const auto object = objects_.Open(put->digest);
    ASSERT_THAT(object, Ok()) << round;
    EXPECT_TRUE(Contents(**object) == bytes);
  }
  done = true;
  collecting.join();
}

}  // namespace
}  // namespace signum
