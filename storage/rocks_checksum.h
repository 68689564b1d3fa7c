#pragma once

#include <memory>

namespace rocksdb {
class FileChecksumGenFactory;
}

namespace signum {

// Makes RocksDB's own file checksum (same name, same value) with the processor's CRC-32C
// instruction where there is one: Debian's RocksDB computes it in software, which is half of a
// blob's write.
std::shared_ptr<rocksdb::FileChecksumGenFactory> NewFileChecksumFactory();

}  // namespace signum
