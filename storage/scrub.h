#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "storage/accounts.h"
#include "storage/catalog.h"
#include "storage/format/signature.h"
#include "storage/object_store.h"

namespace signum {

struct ScrubOptions {
  double sample = 1;  // of objects and of files, chosen anew each time
  uint64_t rate = 0;  // bytes a second; 0: as fast as it goes
  uint64_t seed = 0;  // of the choice
};

// What is wrong with one object, and whom it touches.
struct DamagedObject {
  Digest digest;
  uint64_t size = 0;
  std::string why;           // "missing": named, and not there
  bool quarantined = false;  // cannot be read any more until it is stored anew
  bool repaired = false;
  std::vector<std::string> bases, versions;  // "tenant/model@version"
  std::string not_repaired = {};             // why, where that was tried in vain
};

struct ScrubReport {
  uint64_t objects = 0, object_bytes = 0;  // read
  uint64_t files = 0, file_bytes = 0;
  uint64_t manifests = 0, references = 0;
  std::vector<DamagedObject> damaged;
  std::vector<std::string> damaged_files;  // and why
  std::vector<std::string> problems;       // manifests that do not verify, a broken log

  bool clean() const { return damaged.empty() && damaged_files.empty() && problems.empty(); }
};

struct ScrubContext {
  Engine& engine;
  ObjectStore& objects;
  const Catalog& catalog;
  const Accounts& accounts;
  std::vector<PublicKey> keys;  // that sign manifests
};

// Phase and fraction of it done. False stops the scrub.
using ScrubProgress = std::function<bool(std::string_view phase, double done)>;

// Checks all that is stored: every reference leads to an object, every object has its digest, every
// file of the engine its checksum, every manifest its signature, the audit log its chain. A damaged
// object is quarantined. What is wrong is told in the report; an error is that scrubbing itself
// failed, or was stopped. With `sample`, a part of objects and files is read, the rest is whole.
Result<ScrubReport> ScrubStore(const ScrubContext& context, const ScrubOptions& options,
                               const ScrubProgress& progress = {});

// Stores damaged and missing objects anew from another store that has them, and says so in the
// report.
Result<void> RepairObjects(ObjectStore& objects, const ObjectStore& other, ScrubReport& report);

}  // namespace signum
