// A store on a disk that is really full (needs the right to mount a tmpfs).

#include <sys/mount.h>
#include <unistd.h>

#include <fstream>

#include "storage/object_store.h"
#include "tests/storage/store/store_support.h"

namespace signum {
namespace {

namespace fs = std::filesystem;

class FullDiskTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0 || ::mount("tmpfs", disk_.path().c_str(), "tmpfs", 0, "size=24m") != 0) {
      GTEST_SKIP() << "needs the right to mount";
    }
    mounted_ = true;
    auto opened = OpenRocksEngine((disk_.path() / "store").string());
    ASSERT_THAT(opened, Ok());
    engine_ = *std::move(opened);
  }
  void TearDown() override {
    engine_.reset();
    if (mounted_) ::umount2(disk_.path().c_str(), MNT_DETACH);
  }

  // Takes all that is free; removing it makes room again.
  void Fill() {
    std::ofstream ballast(disk_.path() / "ballast", std::ios::binary);
    const std::string block(4096, 'x');
    while (ballast.write(block.data(), 4096).flush()) {
    }
  }
  void MakeRoom() { fs::remove(disk_.path() / "ballast"); }

  bool mounted_ = false;
  TempDir disk_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(FullDiskTest, ABlobThatDoesNotFitLeavesNothing) {
  const uint64_t kept = WriteBlob(*engine_, RandomBytes(1 << 20, 1));
  const uint64_t before = engine_->Usage()->blob_bytes + engine_->Usage()->metadata_bytes;
  auto writer = *engine_->CreateBlob();
  Result<void> appended;
  for (uint64_t i = 0; i < 40 && appended; ++i) {
    appended = writer->Append(AsBytes(RandomBytes(1 << 20, i)));
  }
  EXPECT_THAT(appended, FailsWith(Errc::kExhausted, "disk_full", ""));
  const uint64_t after = engine_->Usage()->blob_bytes + engine_->Usage()->metadata_bytes;
  EXPECT_LT(after, before + 100'000);  // already, with the writer still there
  EXPECT_FALSE(writer->Seal());
  EXPECT_EQ(engine_->ListBlobs()->size(), 1);
  EXPECT_TRUE(Contents(**engine_->OpenBlob(kept)) == RandomBytes(1 << 20, 1));
  WriteBlob(*engine_, RandomBytes(1 << 20, 2));  // and there is room again
}

TEST_F(FullDiskTest, CommitsFailAndWorkAgainOnceThereIsRoom) {
  ASSERT_THAT(PutKey(*engine_, "t/a/before", "1"), Ok());
  Fill();
  Result<void> put;
  for (int i = 0; i < 1000 && put; ++i) {
    put = PutKey(*engine_, "t/a/" + std::to_string(i), std::string(10'000, 'v'));
  }
  EXPECT_THAT(put, FailsWith(Errc::kExhausted, "disk_full", ""));
  EXPECT_EQ(*engine_->Get("t/a/before"), "1");  // reading goes on
  EXPECT_FALSE(PutKey(*engine_, "t/a/still-full", std::string(10'000, 'v')));
  MakeRoom();
  ASSERT_THAT(PutKey(*engine_, "t/a/after", "2"), Ok());
  WriteBlob(*engine_, RandomBytes(1 << 20, 2));
  engine_.reset();
  auto opened = OpenRocksEngine((disk_.path() / "store").string());
  ASSERT_THAT(opened, Ok());
  engine_ = *std::move(opened);
  EXPECT_EQ(*engine_->Get("t/a/before"), "1");
  EXPECT_EQ(*engine_->Get("t/a/after"), "2");
}

TEST_F(FullDiskTest, AnObjectThatDoesNotFitIsNotThere) {
  ObjectStore objects(*engine_);
  Fill();
  const std::string bytes = RandomBytes(3 << 20, 1);
  EXPECT_THAT(objects.Put(AsBytes(bytes)), FailsWith(Errc::kExhausted, "disk_full", ""));
  EXPECT_FALSE(*objects.Has(Sha256::Of(AsBytes(bytes))));
  MakeRoom();
  const auto put = objects.Put(AsBytes(bytes));
  ASSERT_THAT(put, Ok());
  EXPECT_TRUE(put->created);
  EXPECT_EQ(engine_->ListBlobs()->size(), 1);
}

}  // namespace
}  // namespace signum
