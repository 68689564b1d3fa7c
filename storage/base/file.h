#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "storage/base/byte_source.h"
#include "storage/base/result.h"

namespace signum {

// The mode of files that hold a secret.
inline constexpr mode_t kSecretMode = 0600;

// An owned POSIX file descriptor. Movable; closes on destruction.
class File {
 public:
  File() = default;
  explicit File(int fd) : fd_(fd) {}
  ~File();
  File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  File& operator=(File&& other) noexcept;

  // `flags` as open(2); O_CLOEXEC is added. New files get `mode` less the umask. ENOENT is
  // kNotFound.
  static Result<File> Open(const std::filesystem::path& path, int flags, mode_t mode = 0666);

  int fd() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

  Result<uint64_t> Size() const;
  // Write or read everything at `offset`. ENOSPC and EDQUOT are Errc::kExhausted "disk_full".
  Result<void> WriteAt(uint64_t offset, ConstBytes bytes) const;
  Result<void> ReadAt(uint64_t offset, MutableBytes out) const;
  Result<void> Truncate(uint64_t size) const;
  Result<void> SyncData() const;  // fdatasync

 private:
  int fd_ = -1;
};

// A read-only memory-mapped file. A file that another process truncates while it is mapped raises
// SIGBUS, as everywhere; map only files nobody else writes.
class MappedFile final : public ByteSource {
 public:
  static Result<std::shared_ptr<const MappedFile>> Open(const std::filesystem::path& path);
  ~MappedFile() override;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  uint64_t size() const override { return size_; }
  Result<void> Read(uint64_t offset, MutableBytes out) const override;
  ConstBytes View() const override { return {data_, size_}; }

 private:
  MappedFile(const std::byte* data, size_t size) : data_(data), size_(size) {}
  const std::byte* data_;
  size_t size_;
};

// fsync of a directory, so that entries created, renamed or removed in it last.
Result<void> SyncDirectory(const std::filesystem::path& directory);

// Replaces `path` by `bytes` all at once: temporary file, fsync, rename, fsync of the directory.
Result<void> WriteFileAtomically(const std::filesystem::path& path, ConstBytes bytes,
                                 mode_t mode = 0666);

// Reads a whole file of at most `limit` bytes.
Result<std::string> ReadFile(const std::filesystem::path& path, uint64_t limit);

// The Error of errno after a failed call on `what`.
Error FromErrno(int error, const std::string& what);

}  // namespace signum
