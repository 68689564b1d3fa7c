#pragma once

#include <memory>

namespace rocksdb {
class Logger;
}

namespace signum {

// RocksDB's warnings and errors as log lines of ours. A log file of its own would abort the process
// on a full disk (an assertion of Debian's build, after the first write of it that fails).
std::shared_ptr<rocksdb::Logger> NewRocksLogger();

}  // namespace signum
