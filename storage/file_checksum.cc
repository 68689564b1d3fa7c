#include "storage/file_checksum.h"

#include <fcntl.h>
#include <rocksdb/file_checksum.h>

#include <algorithm>
#include <vector>

#include "storage/base/file.h"
#include "storage/rocks_checksum.h"

namespace signum {

namespace {

constexpr size_t kPieceBytes = 1 << 20;

// Reads all of `file` in pieces.
Result<CheckedFile> ReadThrough(const File& file,
                                const std::function<Result<void>(uint64_t, ConstBytes)>& take,
                                const FileProgress& progress) {
  CheckedFile read;
  SIGNUM_ASSIGN(const uint64_t size, file.Size());
  FileChecksum checksum;
  std::vector<std::byte> buffer(std::min<uint64_t>(kPieceBytes, size));
  while (read.size < size) {
    const auto part = MutableBytes(buffer).first(std::min<uint64_t>(kPieceBytes, size - read.size));
    SIGNUM_TRY(file.ReadAt(read.size, part));
    checksum.Update(part);
    if (take) SIGNUM_TRY(take(read.size, part));
    read.size += part.size();
    if (progress && !progress(read.size)) {
      return Fail(Errc::kCancelled, "cancelled", "reading a file was stopped");
    }
  }
  read.crc32c = checksum.Finish();
  return read;
}

}  // namespace

FileChecksum::FileChecksum()
    : generator_(NewFileChecksumFactory()->CreateFileChecksumGenerator({})) {}
FileChecksum::~FileChecksum() = default;

void FileChecksum::Update(ConstBytes bytes) {
  generator_->Update(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

std::string FileChecksum::Finish() {
  generator_->Finalize();
  return HexEncode(AsBytes(generator_->GetChecksum()));
}

Result<CheckedFile> ChecksumFile(const std::filesystem::path& path, const FileProgress& progress) {
  SIGNUM_ASSIGN(const File file, File::Open(path, O_RDONLY));
  return ReadThrough(file, {}, progress);
}

Result<CheckedFile> CopyFileChecked(const std::filesystem::path& from,
                                    const std::filesystem::path& to, mode_t mode,
                                    const FileProgress& progress) {
  SIGNUM_ASSIGN(const File source, File::Open(from, O_RDONLY));
  SIGNUM_ASSIGN(const File target, File::Open(to, O_WRONLY | O_CREAT | O_TRUNC, mode));
  const auto write = [&](uint64_t offset, ConstBytes bytes) {
    return target.WriteAt(offset, bytes);
  };
  SIGNUM_ASSIGN(CheckedFile copied, ReadThrough(source, write, progress));
  SIGNUM_TRY(target.SyncData());
  return copied;
}

}  // namespace signum
