#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "storage/base/bytes.h"
#include "storage/base/result.h"

namespace rocksdb {
class FileChecksumGenerator;
}

namespace signum {

// The checksum of a file as the engine records it: CRC-32C as 8 hex digits.
class FileChecksum {
 public:
  FileChecksum();
  ~FileChecksum();
  void Update(ConstBytes bytes);
  std::string Finish();  // call once

 private:
  std::unique_ptr<rocksdb::FileChecksumGenerator> generator_;
};

struct CheckedFile {
  uint64_t size = 0;
  std::string crc32c;
};
// Bytes done so far; false stops it: Errc::kCancelled "cancelled".
using FileProgress = std::function<bool(uint64_t)>;

Result<CheckedFile> ChecksumFile(const std::filesystem::path& path,
                                 const FileProgress& progress = {});
// Copies a file to a new one, durable when this returns (its directory entry is not), and gives the
// checksum of what was read.
Result<CheckedFile> CopyFileChecked(const std::filesystem::path& from,
                                    const std::filesystem::path& to, mode_t mode,
                                    const FileProgress& progress = {});

}  // namespace signum
