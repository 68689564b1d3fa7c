#pragma once

#include "storage/engine.h"

namespace rocksdb {
class Env;
}

namespace signum {

// As OpenRocksEngine, over an environment that outlives the engine (null: the system's). For tests
// that let the file system fail.
Result<std::unique_ptr<Engine>> OpenRocksEngineOn(rocksdb::Env* env, const std::string& directory,
                                                  const RocksEngineOptions& options = {});

}  // namespace signum
