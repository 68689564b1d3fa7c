#include "storage/base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace signum {

Error FromErrno(int error, const std::string& what) {
  const std::string message = what + ": " + std::strerror(error);
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return Fail(Errc::kNotFound, "no_such_file", message);
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return Fail(Errc::kExhausted, "disk_full", message);
    case EACCES:
    case EPERM:
      return Fail(Errc::kDenied, "permission_denied", message);
    default:
      return Fail(Errc::kInternal, "io_error", message);
  }
}

File::~File() {
  if (fd_ >= 0) ::close(fd_);
}

File& File::operator=(File&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

Result<File> File::Open(const std::filesystem::path& path, int flags, mode_t mode) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  if (fd < 0) return FromErrno(errno, path.string());
  return File(fd);
}

Result<uint64_t> File::Size() const {
  struct stat status {};
  if (::fstat(fd_, &status) != 0) return FromErrno(errno, "fstat");
  return static_cast<uint64_t>(status.st_size);
}

Result<void> File::WriteAt(uint64_t offset, ConstBytes bytes) const {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return FromErrno(errno, "write");
    bytes = bytes.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return {};
}

Result<void> File::ReadAt(uint64_t offset, MutableBytes out) const {
  while (!out.empty()) {
    const ssize_t n = ::pread(fd_, out.data(), out.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return FromErrno(errno, "read");
    if (n == 0) return Fail(Errc::kInvalid, "out_of_range", "read past the end of the file");
    out = out.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return {};
}

Result<void> File::Truncate(uint64_t size) const {
  if (::ftruncate(fd_, static_cast<off_t>(size)) != 0) return FromErrno(errno, "truncate");
  return {};
}

Result<void> File::SyncData() const {
  if (::fdatasync(fd_) != 0) return FromErrno(errno, "fdatasync");
  return {};
}

Result<std::shared_ptr<const MappedFile>> MappedFile::Open(const std::filesystem::path& path) {
  SIGNUM_ASSIGN(File file, File::Open(path, O_RDONLY));
  SIGNUM_ASSIGN(const uint64_t size, file.Size());
  void* data = nullptr;
  if (size > 0) {
    data = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.fd(), 0);
    if (data == MAP_FAILED) return FromErrno(errno, "mmap " + path.string());
  }
  return std::shared_ptr<const MappedFile>(
      new MappedFile(static_cast<const std::byte*>(data), size));
}

MappedFile::~MappedFile() {
  if (size_ > 0) ::munmap(const_cast<std::byte*>(data_), size_);
}

Result<void> MappedFile::Read(uint64_t offset, MutableBytes out) const {
  SIGNUM_TRY(CheckRange(offset, out.size(), size_));
  if (!out.empty()) std::memcpy(out.data(), data_ + offset, out.size());
  return {};
}

Result<void> SyncDirectory(const std::filesystem::path& directory) {
  SIGNUM_ASSIGN(File file, File::Open(directory, O_RDONLY | O_DIRECTORY));
  if (::fsync(file.fd()) != 0) return FromErrno(errno, "fsync " + directory.string());
  return {};
}

Result<void> WriteFileAtomically(const std::filesystem::path& path, ConstBytes bytes, mode_t mode) {
  std::filesystem::path temporary = path;
  temporary += ".tmp";
  {
    SIGNUM_ASSIGN(File file, File::Open(temporary, O_WRONLY | O_CREAT | O_TRUNC, mode));
    Result<void> written = file.WriteAt(0, bytes);
    if (written) written = file.SyncData();
    if (!written) {
      ::unlink(temporary.c_str());
      return written;
    }
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    const Error error = FromErrno(errno, "rename to " + path.string());
    ::unlink(temporary.c_str());
    return error;
  }
  return SyncDirectory(path.has_parent_path() ? path.parent_path() : ".");
}

Result<std::string> ReadFile(const std::filesystem::path& path, uint64_t limit) {
  SIGNUM_ASSIGN(File file, File::Open(path, O_RDONLY));
  SIGNUM_ASSIGN(const uint64_t size, file.Size());
  if (size > limit) {
    return Fail(Errc::kTooLarge, "too_large",
                path.string() + " is over " + std::to_string(limit) + " bytes");
  }
  std::string out(size, '\0');
  SIGNUM_TRY(file.ReadAt(0, {reinterpret_cast<std::byte*>(out.data()), out.size()}));
  return out;
}

}  // namespace signum
