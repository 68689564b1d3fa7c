#include "storage/base/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "tests/support/result_matchers.h"
#include "tests/support/temp_dir.h"

namespace signum {
namespace {

TEST(File, WritesAndReadsAtOffsets) {
  const TempDir dir;
  auto file = File::Open(dir / "f", O_RDWR | O_CREAT);
  ASSERT_THAT(file, Ok());
  EXPECT_THAT(file->WriteAt(3, AsBytes("def")), Ok());
  EXPECT_THAT(file->WriteAt(0, AsBytes("abc")), Ok());
  EXPECT_EQ(file->Size().value(), 6U);
  EXPECT_THAT(file->Truncate(4), Ok());
  EXPECT_THAT(file->SyncData(), Ok());
  EXPECT_EQ(ReadFile(dir / "f", 100).value(), "abcd");
  std::array<std::byte, 5> out{};
  EXPECT_THAT(file->ReadAt(0, out), FailsWith(Errc::kInvalid, "out_of_range", "past the end"));
}

TEST(File, NamesWhatIsMissing) {
  EXPECT_THAT(File::Open("/nowhere/f", O_RDONLY),
              FailsWith(Errc::kNotFound, "no_such_file", "/nowhere/f"));
}

TEST(File, MovesItsDescriptor) {
  const TempDir dir;
  File a = File::Open(dir / "f", O_RDWR | O_CREAT).value();
  const int fd = a.fd();
  File b = std::move(a);
  EXPECT_EQ(b.fd(), fd);
  b = File();
  EXPECT_FALSE(b);
  EXPECT_EQ(::fcntl(fd, F_GETFD), -1);  // closed
}

TEST(FromErrno, TellsAFullDisk) {
  EXPECT_EQ(FromErrno(ENOSPC, "write").code, Errc::kExhausted);
  EXPECT_EQ(FromErrno(EDQUOT, "write").reason, "disk_full");
  EXPECT_EQ(FromErrno(EACCES, "open").code, Errc::kDenied);
  EXPECT_EQ(FromErrno(EIO, "read").code, Errc::kInternal);
}

TEST(File, WritingToAFullDeviceIsExhausted) {
  auto file = File::Open("/dev/full", O_WRONLY);
  ASSERT_THAT(file, Ok());
  EXPECT_THAT(file->WriteAt(0, AsBytes("x")), FailsWith(Errc::kExhausted, "disk_full", "write"));
}

TEST(MappedFile, ShowsTheBytes) {
  const TempDir dir;
  std::ofstream(dir / "f") << "hello";
  std::ofstream(dir / "empty");
  const auto file = MappedFile::Open(dir / "f");
  ASSERT_THAT(file, Ok());
  EXPECT_EQ(AsText((*file)->View()), "hello");
  EXPECT_THAT(ReadAll(**file, 5), Ok());
  std::array<std::byte, 6> out{};
  EXPECT_THAT((*file)->Read(0, out), FailsWith(Errc::kInvalid, "out_of_range", ""));
  EXPECT_EQ(MappedFile::Open(dir / "empty").value()->size(), 0U);
  EXPECT_THAT(MappedFile::Open(dir / "none"), FailsWith(Errc::kNotFound, "no_such_file", "none"));
}

TEST(WriteFileAtomically, ReplacesAndLeavesNothingBehind) {
  const TempDir dir;
  EXPECT_THAT(WriteFileAtomically(dir / "f", AsBytes("one")), Ok());
  EXPECT_THAT(WriteFileAtomically(dir / "f", AsBytes("two")), Ok());
  EXPECT_EQ(ReadFile(dir / "f", 3).value(), "two");
  struct stat status {};
  ASSERT_EQ(::stat((dir / "f").c_str(), &status), 0);
  const mode_t mask = ::umask(0);
  ::umask(mask);
  EXPECT_EQ(status.st_mode & 0777U, 0666U & ~mask);
  EXPECT_THAT(WriteFileAtomically(dir / "secret", AsBytes("s"), kSecretMode), Ok());
  ASSERT_EQ(::stat((dir / "secret").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  std::filesystem::create_directory(dir / "folder");
  EXPECT_FALSE(WriteFileAtomically(dir / "folder", AsBytes("three")));  // can't replace a folder
  EXPECT_FALSE(std::filesystem::exists(dir / "folder.tmp"));
}

TEST(ReadFile, KeepsTheLimit) {
  const TempDir dir;
  std::ofstream(dir / "f") << "hello";
  EXPECT_THAT(ReadFile(dir / "f", 4), FailsWith(Errc::kTooLarge, "too_large", "4 bytes"));
}

}  // namespace
}  // namespace signum
