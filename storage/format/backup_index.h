#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "storage/base/result.h"

namespace signum {

// One file of a backup.
struct BackupFile {
  std::string path;    // below the data directory: "store/db/000012.sst"
  std::string stored;  // its name in the backup directory's files/
  uint64_t size = 0;
  std::string crc32c;  // 8 hex digits
  uint32_t mode = 0;   // permissions

  bool operator==(const BackupFile&) const = default;
};

// What one backup consists of: the document that makes it exist. Canonical JSON.
struct BackupIndex {
  uint64_t id = 0;
  std::string created;       // RFC 3339
  uint64_t added_bytes = 0;  // that no earlier backup in the directory had
  std::vector<BackupFile> files;

  bool operator==(const BackupIndex&) const = default;
  uint64_t TotalBytes() const;

  std::string Serialize() const;  // RFC 8785
  // Errc::kCorrupt "bad_backup" names the field. A path that leads out of the directory is one.
  static Result<BackupIndex> Parse(std::string_view json);
};

}  // namespace signum
