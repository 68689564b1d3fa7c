#pragma once

#include <cstdint>

#include "storage/engine.h"

namespace signum {

// The version of the key space and of the records in it (DESIGN.md). It grows when an older program
// could no longer read or would damage what is stored.
//   1  the first
//   2  encoded and damaged objects, marks of collection beside objects, jobs of the store itself
//   3  counters of usage, which every change of a version or an upload keeps
inline constexpr uint64_t kSchemaVersion = 3;

// Writes the version into an empty store, raises an older one, or refuses it: Errc::kUnavailable
// "schema_too_new" where a newer Signum wrote the store. An older store needs no other change here:
// what came with a version is only added to it (counters by Quotas::Open). Call before anything
// else of the engine.
Result<void> EnsureSchema(Engine& engine);

}  // namespace signum
