#include "storage/base/directory_lock.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <string>

namespace signum {

Result<File> LockDirectory(const std::filesystem::path& directory, std::string_view reason,
                           std::string_view message) {
  SIGNUM_ASSIGN(File lock, File::Open(directory / "lock", O_RDWR | O_CREAT));
  if (::flock(lock.fd(), LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno != EWOULDBLOCK) return FromErrno(errno, (directory / "lock").string());
  return Fail(Errc::kUnavailable, std::string(reason), std::string(message));
}

}  // namespace signum
