#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <unordered_set>
#include <vector>

#include "storage/catalog.h"
#include "storage/object_store.h"
#include "storage/store_clock.h"

namespace signum {

struct CollectOptions {
  int64_t grace_micros = 3600ll * 1'000'000;
  bool dry_run = false;
  // Versions to be taken for deleted already: what a dry run asks about. By "tenant/model@version".
  std::unordered_set<std::string> without;
};

// One object, or blob of none, that nothing names.
struct Garbage {
  std::string what;  // "sha256:…", or "blob 17"
  uint64_t bytes = 0;
  std::string why;
  bool goes = false;  // removed, or would be by a run now; else its grace is not over
};

struct CollectReport {
  uint64_t live = 0;                        // objects that are named
  uint64_t removed = 0, removed_bytes = 0;  // objects; of a dry run: what would go
  uint64_t waiting = 0, waiting_bytes = 0;  // named by nothing, in their grace
  uint64_t blobs = 0;                       // removed blobs that no object named
  static constexpr size_t kMaxListed = 1000;
  std::vector<Garbage> listed;  // the first of them
};

// Where it is: fraction done. False stops it; what it removed so far is gone.
using CollectProgress = std::function<bool(double)>;

// Online garbage collection: marks what bases, versions and their recipes name, and removes objects
// that have been found unnamed by two runs at least the grace apart. In between they are condemned,
// durably; who puts or keeps a condemned object again takes that back in the same moment in which
// it sees the object, so whatever a writer found there stays for a grace after it looked, and as
// long as it holds collection (ObjectStore::HoldCollection). Times are the StoreClock's: jumps of
// the wall clock change nothing.
//
// May be stopped or killed anywhere and run again. One run at a time (lease "collect").
class Collector {
 public:
  Collector(Engine& engine, ObjectStore& objects, const Catalog& catalog, StoreClock& clock)
      : engine_(engine), objects_(objects), catalog_(catalog), clock_(clock) {}

  // An object that must be read to know what it names and cannot be ends it before anything goes.
  Result<CollectReport> Run(const CollectOptions& options, const CollectProgress& progress = {});

 private:
  class Pass;

  Engine& engine_;
  ObjectStore& objects_;
  const Catalog& catalog_;
  StoreClock& clock_;
  std::map<uint64_t, int64_t> unnamed_blobs_;  // since when
};

struct StrayReport {
  uint64_t blobs = 0;    // removed: no object named them
  uint64_t damaged = 0;  // objects in quarantine
};
// Removes blobs that no object names: what a crash left between sealing and naming. For the start,
// before anything writes.
Result<StrayReport> RemoveStrayBlobs(Engine& engine);

}  // namespace signum
