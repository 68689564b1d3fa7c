#pragma once

#include <cstdint>

#include "storage/base/clock.h"
#include "storage/catalog.h"
#include "storage/object_store.h"

namespace signum {

struct SweepReport {
  size_t objects = 0;  // removed, and their bytes
  size_t blobs = 0;    // removed that no object named
  uint64_t bytes = 0;
};

// Removes objects older than `older_than` that no base and no version names (of deleted versions,
// of ingests that a crash cut short), and blobs that no object names. Call it at start, before
// anything writes: an ingest that runs has stored what no record names yet. An error removes
// nothing more; the sweep may be run again.
Result<SweepReport> SweepStore(Engine& engine, ObjectStore& objects, const Catalog& catalog,
                               UnixMicros older_than);

}  // namespace signum
