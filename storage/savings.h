#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "storage/catalog.h"
#include "storage/engine.h"
#include "storage/object_store.h"

namespace signum {

// What to group by: any subset; none gives one group.
struct SavingsBy {
  bool base = false;
  bool tenant = false;
  bool model = false;
};

// One group. Bytes on disk, so that the rows together are what the store's directory takes.
struct SavingsRow {
  // Filled where it is grouped by. A base that no version was made from is a group of its own, with
  // its name here and no tenant or model.
  std::string base, tenant, model;
  uint64_t versions = 0;      // ready ones
  uint64_t upload_bytes = 0;  // of the ready versions, and their share of their base's upload
  uint64_t version_upload_bytes = 0;  // of the ready versions alone
  uint64_t delta_bytes = 0;
  uint64_t exact_bytes =
      0;                    // what keeps the uploads exactly, beyond what others have stored before
  uint64_t base_share = 0;  // a base's bytes, split evenly among the versions made from it
  uint64_t metadata_bytes = 0;  // manifests, recipes, keys, logs, and objects that nothing names
                                // (any more), split in proportion to the rest

  uint64_t measured = 0;  // ready versions whose fidelity was measured,
  double top1_sum = 0;    // and the sum of their top-1 agreements

  uint64_t stored_bytes() const { return delta_bytes + exact_bytes + base_share + metadata_bytes; }
  int64_t saved_bytes() const {
    return static_cast<int64_t>(upload_bytes) - static_cast<int64_t>(stored_bytes());
  }
  // Uploaded by stored; 0 where nothing is stored.
  double ratio() const;
  // Versions' uploads by deltas: how much less a node pulls.
  double delta_ratio() const;
  // Mean top-1 agreement of the measured versions; nothing where there are none.
  std::optional<double> mean_fidelity() const {
    if (measured == 0) return std::nullopt;
    return top1_sum / static_cast<double>(measured);
  }
};

struct SavingsReport {
  std::vector<SavingsRow> groups;  // in order of base, tenant, model
  SavingsRow totals;               // their sums
};

// Reads every base, version and recipe; objects that several name belong to bases first, then to
// the version that comes first by tenant, model and number.
Result<SavingsReport> AuditSavings(const Engine& engine, const ObjectStore& objects,
                                   const Catalog& catalog, const SavingsBy& by);

}  // namespace signum
