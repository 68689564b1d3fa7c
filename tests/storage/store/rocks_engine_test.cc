// What is particular to the RocksDB engine: durability, locks, corruption, newer schemas.

#include <fstream>

#include "storage/schema.h"
#include "tests/storage/store/store_support.h"

namespace signum {
namespace {

namespace fs = std::filesystem;

class RocksEngineTest : public ::testing::Test {
 protected:
  std::string Path() const { return (engine_.directory() / "store").string(); }

  // The biggest SST file: the one blob of the test.
  fs::path BlobFile() const {
    fs::path biggest;
    for (const auto& entry : fs::directory_iterator(fs::path(Path()) / "db")) {
      if (entry.path().extension() != ".sst") continue;
      if (biggest.empty() || entry.file_size() > fs::file_size(biggest)) biggest = entry.path();
    }
    return biggest;
  }

  EngineHolder engine_{kRocks};
};

TEST_F(RocksEngineTest, KeepsEverythingOverAReopen) {
  const std::string bytes = RandomBytes(3'000'000, 1);
  ASSERT_THAT(PutKey(*engine_, "t/a/x", "1"), Ok());
  const uint64_t blob = WriteBlob(*engine_, bytes);
  const uint64_t empty = WriteBlob(*engine_, "");
  engine_.Reopen();
  EXPECT_EQ(*engine_->Get("t/a/x"), "1");
  EXPECT_TRUE(Contents(**engine_->OpenBlob(blob)) == bytes);
  EXPECT_EQ((*engine_->OpenBlob(empty))->size(), 0);
}

TEST_F(RocksEngineTest, RefusesASecondProcess) {
  EXPECT_THAT(OpenRocksEngine(Path()), FailsWith(Errc::kUnavailable, "store_locked", Path()));
}

TEST_F(RocksEngineTest, RefusesANewerSchema) {
  const std::string newer = std::to_string(kSchemaVersion + 1);
  ASSERT_THAT(PutKey(*engine_, "g/schema/version", newer), Ok());
  engine_.Close();
  EXPECT_THAT(OpenRocksEngine(Path()), FailsWith(Errc::kUnavailable, "schema_too_new", newer));
}

TEST_F(RocksEngineTest, RaisesAnOlderSchema) {
  ASSERT_THAT(PutKey(*engine_, "g/schema/version", "1"), Ok());
  ASSERT_THAT(PutKey(*engine_, "t/a/x", "kept"), Ok());
  engine_.Reopen();
  EXPECT_EQ(*engine_->Get("g/schema/version"), std::to_string(kSchemaVersion));
  EXPECT_EQ(*engine_->Get("t/a/x"), "kept");
}

TEST_F(RocksEngineTest, RefusesADirectoryThatCannotBeMade) {
  std::ofstream(engine_.directory() / "file") << "x";
  EXPECT_FALSE(OpenRocksEngine((engine_.directory() / "file" / "store").string()));
}

TEST_F(RocksEngineTest, RemovesWhatADeadProcessHadNotSealed) {
  engine_.Close();
  const fs::path leftover = fs::path(Path()) / "staging" / "17.sst";
  std::ofstream(leftover) << "half a blob";
  engine_.Open();
  EXPECT_FALSE(fs::exists(leftover));
}

TEST_F(RocksEngineTest, DetectsACorruptedBlob) {
  const uint64_t blob = WriteBlob(*engine_, RandomBytes(3 << 20, 2));
  engine_.Close();
  {
    std::fstream file(BlobFile(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp((1 << 20) + 5000);
    file.put('!');
  }
  engine_.Open();
  const auto source = *engine_->OpenBlob(blob);
  std::string out(3 << 20, '\0');
  EXPECT_THAT(source->Read(0, {reinterpret_cast<std::byte*>(out.data()), out.size()}),
              FailsWith(Errc::kCorrupt, "store_corrupt", std::to_string(blob)));
  // The chunks around it are still good.
  EXPECT_THAT(source->Read(0, {reinterpret_cast<std::byte*>(out.data()), 1 << 20}), Ok());
}

TEST_F(RocksEngineTest, CountsWhatTheDiskHolds) {
  const uint64_t before = engine_->Usage()->blob_bytes;
  const std::string bytes = RandomBytes(8 << 20, 3);
  WriteBlob(*engine_, bytes);
  const EngineUsage usage = *engine_->Usage();
  EXPECT_GE(usage.blob_bytes - before, bytes.size());
  EXPECT_LT(usage.blob_bytes - before, bytes.size() * 101 / 100);
  EXPECT_GT(usage.metadata_bytes, 0);
  EXPECT_LT(usage.metadata_bytes, 1 << 20);
}

}  // namespace
}  // namespace signum
