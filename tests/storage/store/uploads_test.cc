#include "storage/uploads.h"

#include <sys/mount.h>
#include <unistd.h>

#include <fstream>

#include "tests/storage/store/counting_engine.h"
#include "tests/storage/store/store_support.h"

namespace signum {
namespace {

namespace fs = std::filesystem;
using ::testing::IsEmpty;

class UploadsTest : public ::testing::Test {
 protected:
  UploadsTest() { Start(); }

  void Start() {
    auto opened = Uploads::Open(*engine_, clock_, Directory(), limits_);
    ASSERT_THAT(opened, Ok());
    uploads_ = *std::move(opened);
  }
  // As a new process finds it: no hash state, no writers.
  void Restart() {
    uploads_.reset();
    engine_.Reopen();
    Start();
  }

  virtual fs::path Directory() const { return engine_.directory() / "uploads"; }

  static UploadFile File(std::string path, uint64_t size,
                         std::optional<Digest> expected = std::nullopt) {
    UploadFile file;
    file.path = std::move(path);
    file.size = size;
    file.expected = expected;
    return file;
  }

  std::string Create(std::vector<UploadFile> files) {
    const auto upload = uploads_->Create("token:1", "acme", std::move(files));
    EXPECT_THAT(upload, Ok());
    return upload.has_value() ? upload->id : "";
  }

  Result<UploadFile> Write(const std::string& id, size_t file, uint64_t offset,
                           std::string_view bytes) {
    SIGNUM_ASSIGN(const auto writer, uploads_->OpenWriter(id, file, offset));
    SIGNUM_TRY(writer->Append(AsBytes(bytes)));
    return writer->Commit();
  }

  UploadFile FileOf(const std::string& id, size_t file) {
    const auto upload = uploads_->Get(id);
    EXPECT_THAT(upload, Ok());
    return upload->files.at(file);
  }

  static uint64_t BytesBelow(const fs::path& directory) {
    uint64_t bytes = 0;
    for (const auto& entry : fs::recursive_directory_iterator(directory)) {
      if (entry.is_regular_file()) bytes += entry.file_size();
    }
    return bytes;
  }

  ManualClock clock_;
  UploadLimits limits_;
  EngineHolder engine_{kRocks};
  std::unique_ptr<Uploads> uploads_;
  const std::string bytes_ = RandomBytes(300'000, 1);
};

TEST_F(UploadsTest, TakesFilesInPieces) {
  const Digest digest = Sha256::Of(AsBytes(bytes_));
  const std::string id = Create({File("config.json", 2), File("a/w.bin", bytes_.size(), digest)});
  ASSERT_THAT(Write(id, 0, 0, "{}"), Ok());
  EXPECT_FALSE(uploads_->Get(id)->Complete());
  const auto half = Write(id, 1, 0, bytes_.substr(0, 100'000));
  ASSERT_THAT(half, Ok());
  EXPECT_EQ(half->offset, 100'000);
  EXPECT_FALSE(half->digest);
  const auto whole = Write(id, 1, 100'000, bytes_.substr(100'000));
  ASSERT_THAT(whole, Ok());
  EXPECT_EQ(whole->digest, digest);
  const Upload upload = *uploads_->Get(id);
  EXPECT_TRUE(upload.Complete());
  EXPECT_EQ(upload.owner, "token:1");
  EXPECT_EQ(upload.tenant, "acme");
  const auto files = uploads_->OpenFiles(id);
  ASSERT_THAT(files, Ok());
  EXPECT_EQ((*files)[1].path, "a/w.bin");
  EXPECT_TRUE(Contents(*(*files)[1].bytes) == bytes_);
}

TEST_F(UploadsTest, GoesOnAfterARestart) {
  const Digest digest = Sha256::Of(AsBytes(bytes_));
  const std::string id = Create({File("w.bin", bytes_.size(), digest)});
  ASSERT_THAT(Write(id, 0, 0, bytes_.substr(0, 123'456)), Ok());
  Restart();
  EXPECT_EQ(FileOf(id, 0).offset, 123'456);
  const auto whole = Write(id, 0, 123'456, bytes_.substr(123'456));  // hashes the prefix again
  ASSERT_THAT(whole, Ok());
  EXPECT_EQ(whole->digest, digest);
  Restart();
  EXPECT_TRUE(Contents(*uploads_->OpenFiles(id)->front().bytes) == bytes_);
}

TEST_F(UploadsTest, KeepsAVanishedClientsBytesUpToTheLastCommit) {
  const std::string id = Create({File("w.bin", bytes_.size())});
  {
    const auto writer = *uploads_->OpenWriter(id, 0, 0);
    ASSERT_THAT(writer->Append(AsBytes(bytes_.substr(0, 1000))), Ok());
    ASSERT_THAT(writer->Commit(), Ok());
    ASSERT_THAT(writer->Append(AsBytes(bytes_.substr(1000, 500))), Ok());
  }
  EXPECT_EQ(FileOf(id, 0).offset, 1000);
  EXPECT_EQ(BytesBelow(Directory()), 1000);
  const auto whole = Write(id, 0, 1000, bytes_.substr(1000));
  ASSERT_THAT(whole, Ok());
  EXPECT_EQ(whole->digest, Sha256::Of(AsBytes(bytes_)));
}

TEST_F(UploadsTest, EmptyFilesAreCompleteAtOnce) {
  const std::string id = Create({File("empty", 0, Sha256::Of({}))});
  EXPECT_TRUE(uploads_->Get(id)->Complete());
  EXPECT_EQ(FileOf(id, 0).digest, Sha256::Of({}));
  EXPECT_EQ(uploads_->OpenFiles(id)->front().bytes->size(), 0);
  EXPECT_THAT(uploads_->Create("", "", {File("empty", 0, Sha256::Of(AsBytes("x")))}),
              FailsWith(Errc::kUnusable, "digest_mismatch", "empty"));
}

TEST_F(UploadsTest, RefusesAWrongOffset) {
  const std::string id = Create({File("w.bin", 10)});
  EXPECT_THAT(Write(id, 0, 3, "x"), FailsWith(Errc::kConflict, "wrong_offset", "offset 0, not 3"));
  ASSERT_THAT(Write(id, 0, 0, "12345"), Ok());
  EXPECT_THAT(Write(id, 0, 0, "x"), FailsWith(Errc::kConflict, "wrong_offset", "offset 5, not 0"));
  EXPECT_THAT(uploads_->OpenWriter(id, 0, 5), Ok());  // a refused one holds nothing
}

TEST_F(UploadsTest, RefusesMoreThanWasDeclared) {
  const std::string id = Create({File("w.bin", 10)});
  const auto writer = *uploads_->OpenWriter(id, 0, 0);
  ASSERT_THAT(writer->Append(AsBytes("12345")), Ok());
  EXPECT_THAT(writer->Append(AsBytes("123456")),
              FailsWith(Errc::kTooLarge, "upload_too_large", "w.bin"));
  EXPECT_EQ(writer->Commit()->offset, 5);  // nothing of the refused piece
  ASSERT_THAT(writer->Append(AsBytes("67890")), Ok());
  EXPECT_EQ(writer->Commit()->digest, Sha256::Of(AsBytes("1234567890")));
}

TEST_F(UploadsTest, RefusesASecondWriter) {
  const std::string id = Create({File("a", 10), File("b", 10)});
  auto writer = uploads_->OpenWriter(id, 0, 0);
  ASSERT_THAT(writer, Ok());
  EXPECT_THAT(uploads_->OpenWriter(id, 0, 0), FailsWith(Errc::kConflict, "upload_busy", "0"));
  EXPECT_THAT(uploads_->OpenWriter(id, 1, 0), Ok());
  writer->reset();
  EXPECT_THAT(uploads_->OpenWriter(id, 0, 0), Ok());
}

TEST_F(UploadsTest, AWrongDigestSendsTheFileBackToZero) {
  const Digest digest = Sha256::Of(AsBytes("right"));
  const std::string id = Create({File("w.bin", 5, digest)});
  EXPECT_THAT(Write(id, 0, 0, "wrong"), FailsWith(Errc::kUnusable, "digest_mismatch", "w.bin"));
  EXPECT_EQ(FileOf(id, 0).offset, 0);
  EXPECT_EQ(BytesBelow(Directory()), 0);
  EXPECT_EQ(Write(id, 0, 0, "right")->digest, digest);
}

TEST_F(UploadsTest, RefusesPathsThatLeadAstray) {
  for (const char* path : {"../x", "/etc/passwd", "a/../../x", "a//b", "", "a\\b", ".."}) {
    EXPECT_THAT(uploads_->Create("", "", {File(path, 1)}),
                FailsWith(Errc::kInvalid, "bad_path", ""))
        << path;
  }
  EXPECT_THAT(uploads_->Create("", "", {File("a", 1), File("a", 1)}),
              FailsWith(Errc::kInvalid, "duplicate_path", "'a'"));
  EXPECT_THAT(uploads_->Create("", "", {File("a/b/c", 1), File("a-b", 1), File("a/b", 1)}),
              FailsWith(Errc::kInvalid, "bad_path", "a/b"));
  EXPECT_THAT(uploads_->Create("", "", {}), FailsWith(Errc::kInvalid, "no_files", ""));
}

TEST_F(UploadsTest, RefusesWhatIsOverTheLimits) {
  limits_.max_files = 2;
  limits_.max_bytes = 100;
  Start();
  EXPECT_THAT(uploads_->Create("", "", {File("a", 1), File("b", 1), File("c", 1)}),
              FailsWith(Errc::kTooLarge, "too_many_files", "2"));
  EXPECT_THAT(uploads_->Create("", "", {File("a", 60), File("b", 41)}),
              FailsWith(Errc::kTooLarge, "upload_too_large", "'b'"));
  EXPECT_THAT(uploads_->Create("", "", {File("a", 60), File("b", ~0ull)}),
              FailsWith(Errc::kTooLarge, "upload_too_large", "'b'"));
}

TEST_F(UploadsTest, RefusesWhatWouldFillTheDisk) {
  limits_.keep_free_bytes = 1ull << 60;
  Start();
  EXPECT_THAT(uploads_->Create("", "", {File("a", 1)}),
              FailsWith(Errc::kExhausted, "disk_full", "free"));
  EXPECT_THAT(uploads_->CheckSpace(0), FailsWith(Errc::kExhausted, "disk_full", "free"));
  EXPECT_EQ(uploads_->Space()->kept, 1ull << 60);
  EXPECT_GT(uploads_->Space()->free, 0);
}

TEST_F(UploadsTest, KnowsOnlyItsOwnIds) {
  const std::string id = Create({File("a", 3)});
  ASSERT_THAT(Write(id, 0, 0, "x"), Ok());
  for (const std::string& wrong :
       {std::string("none"), std::string(32, '0'), id + "/00000000", std::string("../") + id}) {
    EXPECT_THAT(uploads_->Get(wrong), FailsWith(Errc::kNotFound, "unknown_upload", ""));
    EXPECT_THAT(uploads_->Remove(wrong), FailsWith(Errc::kNotFound, "unknown_upload", ""));
    EXPECT_THAT(uploads_->OpenWriter(wrong, 0, 0),
                FailsWith(Errc::kNotFound, "unknown_upload", ""));
  }
  EXPECT_THAT(uploads_->OpenWriter(id, 1, 0), FailsWith(Errc::kNotFound, "unknown_upload", ""));
}

TEST_F(UploadsTest, RefusesToOpenWhatIsIncomplete) {
  const std::string id = Create({File("a", 1), File("b", 2)});
  ASSERT_THAT(Write(id, 0, 0, "x"), Ok());
  ASSERT_THAT(Write(id, 1, 0, "x"), Ok());
  EXPECT_THAT(uploads_->OpenFiles(id), FailsWith(Errc::kConflict, "upload_incomplete", "1 of 2"));
  EXPECT_THAT(uploads_->Pin(id), FailsWith(Errc::kConflict, "upload_incomplete", id));
}

TEST_F(UploadsTest, AbandonedOnesExpireAndFreeTheDisk) {
  const std::string id = Create({File("a", 1000)});
  ASSERT_THAT(Write(id, 0, 0, bytes_.substr(0, 500)), Ok());
  clock_.Advance(std::chrono::hours(23));
  EXPECT_EQ(*uploads_->Sweep(), 0);
  clock_.Advance(std::chrono::hours(2));
  EXPECT_THAT(uploads_->Get(id), FailsWith(Errc::kNotFound, "unknown_upload", id));
  EXPECT_EQ(*uploads_->Sweep(), 1);
  EXPECT_TRUE(fs::is_empty(Directory()));
  EXPECT_THAT(*engine_->Scan("g/upload/", "g/upload/~", 10), IsEmpty());
}

TEST_F(UploadsTest, WritingKeepsAnUploadAlive) {
  const std::string id = Create({File("a", 1000)});
  for (uint64_t hour = 0; hour < 60; hour += 10) {
    ASSERT_THAT(Write(id, 0, hour, "0123456789"), Ok());
    clock_.Advance(std::chrono::hours(10));
  }
  EXPECT_EQ(*uploads_->Sweep(), 0);
}

TEST_F(UploadsTest, APinnedUploadDoesNotExpire) {
  const std::string id = Create({File("a", 1)});
  ASSERT_THAT(Write(id, 0, 0, "x"), Ok());
  ASSERT_THAT(uploads_->Pin(id), Ok());
  clock_.Advance(std::chrono::hours(1000));
  EXPECT_EQ(*uploads_->Sweep(), 0);
  EXPECT_THAT(uploads_->OpenFiles(id), Ok());
  ASSERT_THAT(uploads_->Remove(id), Ok());
  EXPECT_TRUE(fs::is_empty(Directory()));
}

TEST_F(UploadsTest, AnUploadIsPinnedOnceAndLetGo) {
  const std::string id = Create({File("a", 1)});
  ASSERT_THAT(Write(id, 0, 0, "x"), Ok());
  EXPECT_FALSE(uploads_->Get(id)->pinned);
  ASSERT_THAT(uploads_->Pin(id), Ok());
  EXPECT_TRUE(uploads_->Get(id)->pinned);
  EXPECT_EQ(*uploads_->ListPinned(), std::vector<std::string>{id});
  EXPECT_THAT(uploads_->Pin(id), FailsWith(Errc::kConflict, "upload_in_use", id));
  clock_.Advance(std::chrono::hours(1000));
  ASSERT_THAT(uploads_->Unpin(id), Ok());
  EXPECT_THAT(*uploads_->ListPinned(), IsEmpty());
  clock_.Advance(std::chrono::hours(23));  // the full time again
  EXPECT_EQ(*uploads_->Sweep(), 0);
  EXPECT_THAT(uploads_->Pin(id), Ok());
  ASSERT_THAT(uploads_->Unpin(id), Ok());
  clock_.Advance(std::chrono::hours(25));
  EXPECT_EQ(*uploads_->Sweep(), 1);
  EXPECT_THAT(uploads_->Unpin(id), FailsWith(Errc::kNotFound, "unknown_upload", id));
}

TEST_F(UploadsTest, APinEndsSomeDayToo) {
  const std::string id = Create({File("a", 1)});
  ASSERT_THAT(Write(id, 0, 0, "x"), Ok());
  ASSERT_THAT(uploads_->Pin(id), Ok());
  clock_.Advance(std::chrono::hours(24 * 92));
  EXPECT_EQ(*uploads_->Sweep(), 1);
}

TEST_F(UploadsTest, AFileStartsAfreshUntilItIsComplete) {
  const std::string id = Create({File("a", 4)});
  ASSERT_THAT(Write(id, 0, 0, "xy"), Ok());
  {
    const auto writer = uploads_->OpenWriter(id, 0, 2);
    EXPECT_THAT(uploads_->Restart(id, 0), FailsWith(Errc::kConflict, "upload_busy", ""));
  }
  ASSERT_THAT(uploads_->Restart(id, 0), Ok());
  EXPECT_EQ(FileOf(id, 0).offset, 0);
  ASSERT_THAT(Write(id, 0, 0, "abcd"), Ok());
  EXPECT_EQ(FileOf(id, 0).digest, Sha256::Of(AsBytes("abcd")));
  EXPECT_THAT(uploads_->Restart(id, 0), FailsWith(Errc::kConflict, "file_complete", "a"));
  EXPECT_THAT(uploads_->Restart(id, 1), FailsWith(Errc::kNotFound, "unknown_upload", ""));
  EXPECT_THAT(uploads_->Restart("none", 0), FailsWith(Errc::kNotFound, "unknown_upload", ""));
}

TEST_F(UploadsTest, TheSweepRemovesFilesThatNoRecordNames) {
  fs::create_directories(Directory() / "0123456789abcdef0123456789abcdef");
  std::ofstream(Directory() / "0123456789abcdef0123456789abcdef" / "0") << "orphan";
  const std::string id = Create({File("a", 2)});
  ASSERT_THAT(Write(id, 0, 0, "x"), Ok());
  EXPECT_EQ(*uploads_->Sweep(), 0);
  EXPECT_EQ(BytesBelow(Directory()), 1);
}

TEST_F(UploadsTest, AWriterOfARemovedUploadIsTold) {
  const std::string id = Create({File("a", 10)});
  const auto writer = *uploads_->OpenWriter(id, 0, 0);
  ASSERT_THAT(writer->Append(AsBytes("12345")), Ok());
  ASSERT_THAT(uploads_->Remove(id), Ok());
  EXPECT_THAT(writer->Commit(), FailsWith(Errc::kNotFound, "unknown_upload", id));
  EXPECT_THAT(*engine_->Scan("g/upload/", "g/upload/~", 10), IsEmpty());
}

TEST_F(UploadsTest, AFilesFirstBytesWhileItsUploadGoesLeaveNothing) {
  const std::string id = Create({File("a", 10), File("b", 10)});
  CountingEngine engine(*engine_);
  const auto removing = *Uploads::Open(engine, clock_, Directory(), limits_);
  engine.BeforeCommit([&] { EXPECT_THAT(Write(id, 1, 0, "12345"), Ok()); });
  ASSERT_THAT(removing->Remove(id), Ok());
  EXPECT_THAT(*engine_->Scan("g/upload/", "g/upload/~", 10), IsEmpty());
  EXPECT_THAT(uploads_->ListPinned(), Ok());
}

TEST_F(UploadsTest, SaysWhenAStagedFileLostBytes) {
  const std::string id = Create({File("a", 10)});
  ASSERT_THAT(Write(id, 0, 0, "12345"), Ok());
  fs::resize_file(Directory() / id / "0", 3);
  EXPECT_THAT(uploads_->OpenWriter(id, 0, 5), FailsWith(Errc::kCorrupt, "staged_file_short", ""));
}

// On a disk of its own that is really full.
class FullDiskUploadsTest : public UploadsTest {
 protected:
  fs::path Directory() const override { return disk_.path(); }
  void SetUp() override {
    if (::geteuid() != 0 || ::mount("tmpfs", disk_.path().c_str(), "tmpfs", 0, "size=1m") != 0) {
      GTEST_SKIP() << "needs the right to mount";
    }
    mounted_ = true;
    limits_.keep_free_bytes = 0;
    Start();
  }
  void TearDown() override {
    uploads_.reset();
    if (mounted_) ::umount2(disk_.path().c_str(), MNT_DETACH);
  }
  bool mounted_ = false;
  TempDir disk_;
};

TEST_F(FullDiskUploadsTest, NothingStaysHalfStored) {
  const std::string id = Create({File("a", 900'000)});
  ASSERT_THAT(Write(id, 0, 0, RandomBytes(300'000, 2)), Ok());
  const uint64_t before = BytesBelow(Directory());
  std::ofstream(Directory() / "ballast") << std::string(600'000, 'x');
  const auto writer = *uploads_->OpenWriter(id, 0, 300'000);
  EXPECT_THAT(writer->Append(AsBytes(RandomBytes(600'000, 3))),
              FailsWith(Errc::kExhausted, "disk_full", ""));
  fs::remove(Directory() / "ballast");
  EXPECT_EQ(BytesBelow(Directory()), before);
  EXPECT_EQ(FileOf(id, 0).offset, 300'000);
  // With room again the same writer goes on.
  ASSERT_THAT(writer->Append(AsBytes(RandomBytes(600'000, 3))), Ok());
  EXPECT_TRUE(writer->Commit()->digest);
}

// The disk fills between the look at it and the write.
TEST_F(FullDiskUploadsTest, AFailedWriteIsTakenBack) {
  const std::string id = Create({File("a", 900'000)});
  const auto writer = *uploads_->OpenWriter(id, 0, 0);
  ASSERT_THAT(writer->Append(AsBytes(RandomBytes(100'000, 2))), Ok());
  ASSERT_THAT(writer->Commit(), Ok());
  std::ofstream(Directory() / "ballast") << std::string(700'000, 'x');
  EXPECT_THAT(writer->Append(AsBytes(RandomBytes(800'000, 3))),
              FailsWith(Errc::kExhausted, "disk_full", ""));
  EXPECT_EQ(fs::file_size(Directory() / id / "0"), 100'000);
  EXPECT_EQ(FileOf(id, 0).offset, 100'000);
}

}  // namespace
}  // namespace signum
