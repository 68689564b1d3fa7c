#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/catalog.h"
#include "storage/engine.h"

namespace signum {

// What a tenant's versions are kept for. The default keeps everything.
struct RetentionPolicy {
  uint64_t keep_last = 0;       // newest ready versions of each model; 0: no such rule
  int64_t max_age_seconds = 0;  // since a version was finished; 0: no such rule
  bool keep_aliases = true;     // also what an alias pointed at before: what a rollback goes to
  bool keep_exact = true;       // false: exact uploads are dropped once a version is finished

  friend bool operator==(const RetentionPolicy&, const RetentionPolicy&) = default;
};

// nullopt where none was set.
Result<std::optional<RetentionPolicy>> GetPolicy(const Engine& engine, std::string_view tenant);
Result<void> PutPolicy(Engine& engine, std::string_view tenant, const RetentionPolicy& policy);

struct OutOfPolicy {
  VersionRecord version;
  std::string why;  // "policy keep_last 3"
};
struct RetentionPlan {
  std::vector<OutOfPolicy> versions;  // to be deleted
  std::vector<VersionRecord> exact;   // whose exact upload is to be dropped
};
// What is out of policy at `now`. A version goes when no rule keeps it: it is not among the newest
// keep_last, and older than max_age, as far as these are set. Never: one that an alias points at
// (`latest` too), or that is not finished.
Result<RetentionPlan> PlanRetention(const Engine& engine, const Catalog& catalog, UnixMicros now);

}  // namespace signum
