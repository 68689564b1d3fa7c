#pragma once

#include <cstdint>

#include "storage/engine.h"

namespace signum {

// The version of the key space and of the records in it (DESIGN.md). It grows when an older program
// could no longer read or would damage what is stored.
//   2: objects may be encoded
inline constexpr uint64_t kSchemaVersion = 2;

// Writes the version into an empty store or one of an older version, or checks it:
// Errc::kUnavailable "schema_too_new" where a newer Signum wrote the store. Call before anything
// else of the engine.
Result<void> EnsureSchema(Engine& engine);

}  // namespace signum
