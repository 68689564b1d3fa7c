#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include "storage/catalog.h"
#include "storage/engine.h"
#include "storage/uploads.h"
#include "storage/usage.h"

namespace signum {

// What a tenant may use. nullopt: the server's default; in the defaults: no limit.
struct Quota {
  std::optional<uint64_t> max_bytes, max_versions, max_jobs;
  std::optional<double> requests_per_second;
  std::optional<uint64_t> burst;  // requests at once; nullopt: what a second brings, at least one

  friend bool operator==(const Quota&, const Quota&) = default;
};

// The quotas of tenants, and admission within them, by the counters of usage.h. Thread-safe;
// looking a quota up reads memory alone, and usage two keys, however much there is.
class Quotas {
 public:
  // Counts what a store that is older than the counters holds.
  static Result<std::unique_ptr<Quotas>> Open(Engine& engine, const Catalog& catalog,
                                              const Uploads& uploads, const Quota& defaults);

  Quota Get(std::string_view tenant) const;      // as it was set; of nulls where it was not
  Quota InForce(std::string_view tenant) const;  // with the defaults filled in
  // Replaces it, durably. What is over the new limits stays.
  Result<void> Put(std::string_view tenant, const Quota& quota);

  Result<TenantUsage> UsageOf(std::string_view tenant) const;
  // Counts all anew from the records, beside whatever changes them, and sets right what is off.
  // Returns what was, a line each.
  Result<std::vector<std::string>> Recount();

  // Whoever holds it is alone in changing what is counted for this tenant (or its settings).
  using Hold = std::unique_lock<std::mutex>;
  Hold Lock(std::string_view tenant);
  // Takes `more` in: the caller writes the records under the hold, so that requests at the same
  // time cannot pass a limit together. kExhausted "quota_exceeded" for bytes and versions,
  // kUnavailable "too_many_jobs"; what asks for none of something is not refused for it.
  Result<Hold> Admit(std::string_view tenant, const TenantUsage& more);

 private:
  Quotas(Engine& engine, const Catalog& catalog, const Uploads& uploads, const Quota& defaults)
      : engine_(engine), catalog_(catalog), uploads_(uploads), defaults_(defaults) {}
  Result<void> Load();
  Result<TenantUsage> CountVersions(std::string_view tenant) const;
  Result<void> CountMissing();

  Engine& engine_;
  const Catalog& catalog_;
  const Uploads& uploads_;
  const Quota defaults_;
  mutable std::shared_mutex mutex_;
  std::map<std::string, Quota, std::less<>> quotas_;  // under mutex_
  std::array<std::mutex, 64> admission_;              // tenants share them by hash
};

}  // namespace signum
