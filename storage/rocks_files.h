#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

#include "storage/engine.h"
#include "storage/rocks_database.h"

// RocksDB's files as Engine's upkeep sees them.

namespace signum {

Result<void> CompactRocksKeys(RocksDatabase& database, std::string_view begin,
                              std::string_view end);
Result<std::vector<EngineFile>> ListRocksFiles(RocksDatabase& database);
Result<void> VerifyRocksFile(RocksDatabase& database, const EngineFile& file,
                             const std::function<bool(uint64_t)>& progress);
Result<std::vector<SnapshotFile>> SnapshotRocks(RocksDatabase& database,
                                                const std::filesystem::path& directory);

}  // namespace signum
