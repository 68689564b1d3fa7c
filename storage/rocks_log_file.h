#pragma once

#include <filesystem>
#include <vector>

#include "storage/base/result.h"

namespace signum {

// Checks a file of RocksDB's log format (a write-ahead log, a MANIFEST): every record has its
// checksum. A last record that is cut short, as a crash or a writer at work leaves it, is none yet.
// RocksDB itself takes a damaged record for such an end and drops what follows without a word: what
// was acknowledged would be gone. Errc::kCorrupt "file_damaged".
Result<void> CheckRocksLog(const std::filesystem::path& path);

// Checks that CURRENT in `directory` (a database's) names a MANIFEST that is there.
Result<void> CheckRocksCurrent(const std::filesystem::path& directory);

// The files of that format in `directory`.
Result<std::vector<std::filesystem::path>> ListRocksLogs(const std::filesystem::path& directory);

// All of these checks: of what RocksDB reads when it opens a database, but for tables.
Result<void> CheckRocksLogs(const std::filesystem::path& directory);

}  // namespace signum
