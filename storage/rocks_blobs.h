#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "storage/rocks_database.h"

// Blobs in RocksDB: one ingested SST file each, in the family `blobs`. Keys are (blob number BE64,
// chunk number BE32), values 1 MiB; the last key, chunk 0xffffffff, holds the blob's size, so a
// file that was ingested is complete by itself and no other record is needed to read it.

namespace signum {

inline constexpr uint64_t kBlobChunkBytes = 1 << 20;

Result<std::unique_ptr<BlobWriter>> CreateRocksBlob(std::shared_ptr<RocksDatabase> database,
                                                    uint64_t number);
Result<std::shared_ptr<const ByteSource>> OpenRocksBlob(std::shared_ptr<RocksDatabase> database,
                                                        uint64_t number);
Result<void> DeleteRocksBlob(RocksDatabase& database, uint64_t number);
Result<std::vector<uint64_t>> ListRocksBlobs(RocksDatabase& database);  // ascending
uint64_t BlobOfKey(std::string_view key);                               // whose key it is
Result<uint64_t> RocksBlobBytes(RocksDatabase& database);               // of their files

}  // namespace signum
