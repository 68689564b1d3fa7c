// Backups and their restoring, over a store with a base and fine-tunes.

#include "storage/backup.h"

#include <atomic>
#include <fstream>
#include <thread>

#include "storage/key_ring.h"
#include "storage/restore.h"
#include "tests/storage/store/model_store.h"

namespace signum {
namespace {

namespace fs = std::filesystem;

class BackupTest : public ModelStoreTest {
 protected:
  BackupTest() {
    // As a data directory has it: the store below it, the key beside.
    std::ofstream(Data() / "signing.key") << std::string(32, 'k');
    fs::permissions(Data() / "signing.key", fs::perms::owner_read | fs::perms::owner_write);
  }

  fs::path Data() const { return engine_.directory(); }
  fs::path Backups() const { return out_ / "backups"; }

  Result<BackupIndex> BackUp() {
    SIGNUM_ASSIGN(const auto directory, BackupDirectory::OpenForWriting(Backups()));
    return directory->Create({*engine_, Data(), Data() / "tmp" / "backup", {"signing.key", "none"}},
                             clock_);
  }

  // A version that a scrub finds nothing wrong with: it names a delta and no manifest.
  void Publish(const std::string& model) {
    CreateVersion("acme", model, 200'000);
    const std::string key = "t/acme/version/" + model + "/00000000000000000001";
    std::string stored = **engine_->Get(key);
    const size_t at = stored.find("\"manifest\":\"");
    stored.replace(at, stored.find(',', at) - at, "\"manifest\":null");
    ASSERT_THAT(PutKey(*engine_, key, stored), Ok());
  }

  TempDir out_;
};

TEST_F(BackupTest, ARestoredStoreHasEverything) {
  CreateBase("tiny", ModelDirectory("base"));
  Publish("kjv");
  const auto backup = BackUp();
  ASSERT_THAT(backup, Ok());
  EXPECT_EQ(backup->id, 1);
  EXPECT_EQ(backup->added_bytes, backup->TotalBytes());
  EXPECT_FALSE(fs::exists(Data() / "tmp" / "backup"));
  Publish("pysrc");  // not in it
  const fs::path restored = out_ / "restored";
  const auto report = RestoreBackup(Backups(), std::nullopt, restored);
  ASSERT_THAT(report, Ok());
  EXPECT_GT(report->checked.objects, 50);
  EXPECT_EQ(*ReadFile(restored / "signing.key", 100), std::string(32, 'k'));
  EXPECT_EQ(fs::status(restored / "signing.key").permissions(),
            fs::perms::owner_read | fs::perms::owner_write);
  const auto engine = OpenRocksEngine((restored / "store").string());
  ASSERT_THAT(engine, Ok());
  const ObjectStore objects(**engine);
  const Catalog catalog(**engine, clock_);
  EXPECT_EQ(catalog.GetVersion("acme", "kjv", 1)->delta,
            catalog_.GetVersion("acme", "kjv", 1)->delta);
  EXPECT_FALSE(catalog.GetVersion("acme", "pysrc", 1));
  const auto delta = objects.Open(*catalog.GetVersion("acme", "kjv", 1)->delta);
  ASSERT_THAT(delta, Ok());
  EXPECT_EQ(Sha256::Of(AsBytes(Contents(**delta))), *catalog.GetVersion("acme", "kjv", 1)->delta);
}

TEST_F(BackupTest, TheSecondCopiesOnlyWhatIsNew) {
  CreateBase("tiny", ModelDirectory("base"));
  Publish("kjv");
  const uint64_t first = BackUp()->added_bytes;
  EXPECT_GT(first, 10'000'000);
  const uint64_t disk = DiskUsage(Backups());
  EXPECT_LT(BackUp()->added_bytes, 100'000) << "nothing is new but the metadata";
  EXPECT_LT(DiskUsage(Backups()), disk + 200'000);
  Publish("pysrc");
  const auto third = BackUp();
  EXPECT_GT(third->added_bytes, 3'000'000);
  EXPECT_LT(third->added_bytes, 5'000'000);
  EXPECT_EQ(ListBackups(Backups())->size(), 3);
}

TEST_F(BackupTest, AnyOfThemCanBeRestored) {
  Publish("kjv");
  ASSERT_THAT(BackUp(), Ok());
  Publish("pysrc");
  ASSERT_THAT(BackUp(), Ok());
  ASSERT_THAT(RestoreBackup(Backups(), 1, out_ / "one"), Ok());
  ASSERT_THAT(RestoreBackup(Backups(), 2, out_ / "two"), Ok());
  EXPECT_THAT(RestoreBackup(Backups(), 3, out_ / "three"),
              FailsWith(Errc::kNotFound, "unknown_backup", "3"));
  for (const auto& [name, models] : {std::pair("one", 1), std::pair("two", 2)}) {
    const auto engine = *OpenRocksEngine((out_ / name / "store").string());
    EXPECT_EQ(Catalog(*engine, clock_).ListModels("acme", {}, 9)->size(), models) << name;
  }
}

TEST_F(BackupTest, OldOnesGoAndWhatTheyAloneHad) {
  Publish("kjv");
  ASSERT_THAT(BackUp(), Ok());
  ASSERT_THAT(catalog_.DeleteAlias("acme", "kjv", "live", std::nullopt), Ok());
  for (const uint64_t blob : *engine_->ListBlobs()) ASSERT_THAT(engine_->DeleteBlob(blob), Ok());
  for (int i = 0; i < 3; ++i) ASSERT_THAT(BackUp(), Ok());
  const uint64_t before = DiskUsage(Backups());
  ASSERT_THAT((*BackupDirectory::OpenForWriting(Backups()))->KeepNewest(2), Ok());
  const auto left = *ListBackups(Backups());
  ASSERT_EQ(left.size(), 2);
  EXPECT_EQ(left[0].id, 3);
  EXPECT_LT(DiskUsage(Backups()), before - 6'000'000);
  EXPECT_EQ(BackUp()->id, 5) << "a number is never used again";
}

// Manifests that a retired key signed are good in the restored store too.
TEST_F(BackupTest, TheKeysAreInIt) {
  const auto ring = *KeyRing::Open(*engine_, clock_, Data() / "signing.key");
  const std::string first = ring->Current()->public_key().Id();
  ASSERT_THAT(ring->Rotate(), Ok());
  ASSERT_THAT(BackUp(), Ok());
  const fs::path restored = out_ / "restored";
  ASSERT_THAT(RestoreBackup(Backups(), {}, restored), Ok());
  const auto engine = *OpenRocksEngine((restored / "store").string());
  const auto again = *KeyRing::Open(*engine, clock_, restored / "signing.key");
  EXPECT_EQ(again->Current()->public_key().Id(), ring->Current()->public_key().Id());
  const auto keys = *again->PublicKeys();
  ASSERT_EQ(keys.size(), 2);
  EXPECT_EQ(keys[1].Id(), first);
}

TEST_F(BackupTest, IsOneMomentOfAStoreThatGoesOn) {
  std::atomic<bool> done = false;
  std::thread writing([&] {
    for (int i = 0; !done; ++i) {
      Batch batch;
      batch.Put("t/w/a", std::to_string(i));
      batch.Put("t/w/b", std::to_string(i));
      EXPECT_THAT(engine_->Commit(batch), Ok());
      EXPECT_THAT(objects_.Put(AsBytes(RandomBytes(70'000, static_cast<uint64_t>(i) + 50))), Ok());
    }
  });
  for (int i = 0; i < 3; ++i) EXPECT_THAT(BackUp(), Ok());
  done = true;
  writing.join();
  for (uint64_t id = 1; id <= 3; ++id) {
    const fs::path restored = out_ / std::to_string(id);
    ASSERT_THAT(RestoreBackup(Backups(), id, restored), Ok());
    const auto engine = *OpenRocksEngine((restored / "store").string());
    EXPECT_EQ(*engine->Get("t/w/a"), *engine->Get("t/w/b"));
  }
}

TEST_F(BackupTest, OnlyAnEmptyDirectoryIsRestoredInto) {
  Publish("kjv");
  ASSERT_THAT(BackUp(), Ok());
  fs::create_directory(out_ / "full");
  std::ofstream(out_ / "full" / "file") << "x";
  EXPECT_THAT(RestoreBackup(Backups(), {}, out_ / "full"),
              FailsWith(Errc::kConflict, "data_not_empty", "full"));
  fs::create_directory(out_ / "empty");
  EXPECT_THAT(RestoreBackup(Backups(), {}, (out_ / "empty").string() + "/"), Ok());
  EXPECT_TRUE(fs::exists(out_ / "empty" / "store"));
  EXPECT_THAT(RestoreBackup(out_ / "nowhere", {}, out_ / "x"),
              FailsWith(Errc::kNotFound, "no_backups", "nowhere"));
}

TEST_F(BackupTest, ADamagedBackupDoesNotGoLive) {
  CreateBase("tiny", ModelDirectory("base"));
  ASSERT_THAT(BackUp(), Ok());
  for (const auto& entry : fs::directory_iterator(Backups() / "files")) {
    if (entry.path().extension() != ".sst") continue;
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(entry.file_size() / 2)).put('\x55').put('\xaa');
    break;
  }
  EXPECT_THAT(RestoreBackup(Backups(), {}, out_ / "restored"),
              FailsWith(Errc::kCorrupt, "file_damaged", ".sst"));
  EXPECT_FALSE(fs::exists(out_ / "restored"));
}

// Whole files, but not what the records say: here an object that is gone.
TEST_F(BackupTest, ABackupThatLacksAnObjectDoesNotGoLive) {
  CreateBase("tiny", ModelDirectory("base"));
  ASSERT_THAT(objects_.Delete(catalog_.GetBase("tiny")->digest), Ok());
  ASSERT_THAT(BackUp(), Ok());
  EXPECT_THAT(RestoreBackup(Backups(), {}, out_ / "restored"),
              FailsWith(Errc::kCorrupt, "backup_damaged", "missing"));
  EXPECT_FALSE(fs::exists(out_ / "restored"));
}

TEST_F(BackupTest, ADamagedStoreIsNotBackedUpUnnoticed) {
  CreateBase("tiny", ModelDirectory("base"));
  const auto files = *engine_->ListFiles();
  const auto table = std::find_if(files.begin(), files.end(), [](const EngineFile& file) {
    return file.name.ends_with(".sst");
  });
  ASSERT_NE(table, files.end());
  const fs::path path = engine_.directory() / "store" / table->name;
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(table->size / 2)).put('\x55').put('\xaa');
  }
  EXPECT_THAT(BackUp(), FailsWith(Errc::kCorrupt, "file_damaged", path.filename().string()));
  EXPECT_THAT(ListBackups(Backups()), FailsWith(Errc::kNotFound, "no_backups", ""));
}

TEST_F(BackupTest, OneWriterAtATime) {
  const auto held = BackupDirectory::OpenForWriting(Backups());
  EXPECT_THAT(BackUp(), FailsWith(Errc::kUnavailable, "backup_busy", "backups"));
}

TEST_F(BackupTest, StoppedAnywhereItLeavesTheEarlierOnesGood) {
  CreateBase("tiny", ModelDirectory("base"));
  ASSERT_THAT(BackUp(), Ok());
  Publish("kjv");
  const auto directory = *BackupDirectory::OpenForWriting(Backups());
  for (int stop_at = 0; stop_at < 5; ++stop_at) {
    int step = 0;
    EXPECT_THAT(directory->Create({*engine_, Data(), Data() / "tmp" / "backup", {}}, clock_,
                                  [&](double) { return step++ < 3 * stop_at; }),
                FailsWith(Errc::kCancelled, "cancelled", ""));
  }
  EXPECT_EQ(ListBackups(Backups())->size(), 1);
  EXPECT_FALSE(fs::exists(Data() / "tmp" / "backup"));
  EXPECT_THAT(RestoreBackup(Backups(), {}, out_ / "restored"), Ok());
}

TEST_F(BackupTest, CanBeOpenedWithoutCopying) {
  Publish("kjv");
  const auto backup = *BackUp();
  ASSERT_THAT(UnpackBackup(Backups(), backup, out_ / "linked", true), Ok());
  EXPECT_LT(DiskUsage(out_ / "linked"), 300'000);
  const auto engine = *OpenRocksEngine((out_ / "linked" / "store").string());
  const ObjectStore objects(*engine);
  EXPECT_THAT(objects.Verify(*catalog_.GetVersion("acme", "kjv", 1)->delta), Ok());
}

}  // namespace
}  // namespace signum
