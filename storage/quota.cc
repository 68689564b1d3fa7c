#include "storage/quota.h"

#include <functional>

#include "storage/base/name.h"
#include "storage/record.h"
#include "storage/references.h"

namespace signum {

template <class F, class R>
requires RecordOf<R, Quota>
void Fields(F& f, R& r) {
  f("max_bytes", r.max_bytes);
  f("max_versions", r.max_versions);
  f("max_jobs", r.max_jobs);
  f("requests_per_second", r.requests_per_second);
  f("burst", r.burst);
}

namespace {

constexpr std::string_view kQuotaPrefix = "g/quota/";
constexpr std::string_view kQuotaEnd = "g/quota0";

std::string QuotaKey(std::string_view tenant) {
  return std::string(kQuotaPrefix) + std::string(tenant);
}

constexpr std::string_view kCountsKey = "g/schema/counts";
constexpr int kRecountTries = 10;

bool Fits(uint64_t used, uint64_t more, const std::optional<uint64_t>& most) {
  return more == 0 || !most || (more <= *most && used <= *most - more);
}

std::string Over(std::string_view tenant, uint64_t used, uint64_t more, uint64_t most,
                 std::string_view what) {
  return "tenant '" + std::string(tenant) + "' has " + std::to_string(used) + " of " +
         std::to_string(most) + " " + std::string(what) + ", and this takes " +
         std::to_string(more) + " more";
}

std::string Difference(const TenantUsage& was, const TenantUsage& is) {
  const auto text = [](const TenantUsage& usage) {
    return std::to_string(usage.bytes) + " bytes, " + std::to_string(usage.versions) +
           " versions, " + std::to_string(usage.jobs) + " jobs";
  };
  return "was counted as " + text(was) + ", is " + text(is);
}

}  // namespace

Result<std::unique_ptr<Quotas>> Quotas::Open(Engine& engine, const Catalog& catalog,
                                             const Uploads& uploads, const Quota& defaults) {
  std::unique_ptr<Quotas> quotas(new Quotas(engine, catalog, uploads, defaults));
  SIGNUM_TRY(quotas->Load());
  SIGNUM_TRY(quotas->CountMissing());
  return quotas;
}

Result<void> Quotas::Load() {
  SIGNUM_ASSIGN(const auto stored, engine_.Scan(kQuotaPrefix, kQuotaEnd, SIZE_MAX));
  for (const KeyValue& item : stored) {
    SIGNUM_ASSIGN(const Quota quota, DecodeRecord<Quota>(item.value, item.key));
    quotas_.emplace(item.key.substr(kQuotaPrefix.size()), quota);
  }
  return {};
}

// ---- counting anew

namespace {

// Sets the counter to what `count` finds. Every change of what it counts changes it too, so one
// that is the same after the scan as before belongs to what was scanned. Returns what was off. One
// that changes during every scan is left for another time.
Result<std::string> RecountOne(Engine& engine, const std::string& key,
                               const std::function<Result<TenantUsage>()>& count) {
  for (int attempt = 0; attempt < kRecountTries; ++attempt) {
    SIGNUM_ASSIGN(const auto stored, engine.Get(key));
    UsageCounter counter;
    if (stored) {
      SIGNUM_ASSIGN(counter, DecodeUsage(*stored, key));
    }
    SIGNUM_ASSIGN(const TenantUsage found, count());
    const TenantUsage was = std::exchange(counter.sum, found);
    if (was == found) return std::string();
    ++counter.changes;
    Batch batch;
    batch.Require(key, stored);
    batch.Put(key, EncodeUsage(counter));
    const Result<void> committed = engine.Commit(batch);
    if (!committed.has_error()) return key + ": " + Difference(was, found);
    if (committed.error().code != Errc::kPrecondition) return committed.error();
  }
  return std::string();
}

}  // namespace

Result<TenantUsage> Quotas::CountVersions(std::string_view tenant) const {
  TenantUsage usage;
  SIGNUM_ASSIGN(const auto models, catalog_.ListModels(tenant, {}, SIZE_MAX));
  for (const std::string& model : models) {
    SIGNUM_TRY(ForEachVersionOf(catalog_, std::string(tenant), model,
                                [&](const VersionRecord& version) -> Result<void> {
                                  usage += signum::UsageOf(version);
                                  return {};
                                }));
  }
  return usage;
}

Result<std::vector<std::string>> Quotas::Recount() {
  std::vector<std::string> off;
  SIGNUM_ASSIGN(auto tenants, catalog_.ListTenants({}, SIZE_MAX));
  for (const std::string& tenant : tenants) {
    SIGNUM_ASSIGN(std::string versions, RecountOne(engine_, VersionUsageKey(tenant),
                                                   [&] { return CountVersions(tenant); }));
    if (!versions.empty()) off.push_back(std::move(versions));
  }
  SIGNUM_ASSIGN(const auto owners, uploads_.ListTenants());
  for (const std::string& tenant : owners) {
    SIGNUM_ASSIGN(std::string staged, RecountOne(engine_, UploadUsageKey(tenant),
                                                 [&] { return uploads_.CountAnew(tenant); }));
    if (!staged.empty()) off.push_back(std::move(staged));
  }
  return off;
}

// The mark says that this store counts: written once, after all there was has been counted.
Result<void> Quotas::CountMissing() {
  SIGNUM_ASSIGN(const auto counts, engine_.Get(kCountsKey));
  if (counts) return {};
  SIGNUM_TRY(Recount());
  Batch batch;
  batch.Put(std::string(kCountsKey), "{}");
  return engine_.Commit(batch);
}

// ---- quotas

Quota Quotas::Get(std::string_view tenant) const {
  const std::shared_lock lock(mutex_);
  const auto found = quotas_.find(tenant);
  return found == quotas_.end() ? Quota() : found->second;
}

Quota Quotas::InForce(std::string_view tenant) const {
  Quota quota = Get(tenant);
  if (!quota.max_bytes) quota.max_bytes = defaults_.max_bytes;
  if (!quota.max_versions) quota.max_versions = defaults_.max_versions;
  if (!quota.max_jobs) quota.max_jobs = defaults_.max_jobs;
  if (!quota.requests_per_second) quota.requests_per_second = defaults_.requests_per_second;
  if (!quota.burst) quota.burst = defaults_.burst;
  return quota;
}

Result<void> Quotas::Put(std::string_view tenant, const Quota& quota) {
  SIGNUM_TRY(CheckName("tenant", tenant));
  Batch batch;
  batch.Put(QuotaKey(tenant), EncodeRecord(quota));
  const std::unique_lock lock(mutex_);  // over the commit: memory and store agree on who was last
  SIGNUM_TRY(engine_.Commit(batch));
  quotas_.insert_or_assign(std::string(tenant), quota);
  return {};
}

// Versions first: an upload goes from a version that ends to the staged ones, and is then counted
// twice for a moment, never not at all.
Result<TenantUsage> Quotas::UsageOf(std::string_view tenant) const {
  SIGNUM_ASSIGN(const UsageCounter versions, ReadUsage(engine_, VersionUsageKey(tenant)));
  SIGNUM_ASSIGN(const uint64_t staged, uploads_.StagedBytes(tenant));
  TenantUsage usage = versions.sum;
  usage.bytes += staged;
  return usage;
}

Quotas::Hold Quotas::Lock(std::string_view tenant) {
  return Hold(admission_[std::hash<std::string_view>()(tenant) % admission_.size()]);
}

Result<Quotas::Hold> Quotas::Admit(std::string_view tenant, const TenantUsage& more) {
  const Quota quota = InForce(tenant);
  if (!quota.max_bytes && !quota.max_versions && !quota.max_jobs) return Hold();
  Hold hold = Lock(tenant);
  SIGNUM_ASSIGN(const TenantUsage used, UsageOf(tenant));
  if (!Fits(used.versions, more.versions, quota.max_versions)) {
    return Fail(Errc::kExhausted, "quota_exceeded",
                Over(tenant, used.versions, more.versions, *quota.max_versions, "versions"));
  }
  if (!Fits(used.bytes, more.bytes, quota.max_bytes)) {
    return Fail(Errc::kExhausted, "quota_exceeded",
                Over(tenant, used.bytes, more.bytes, *quota.max_bytes, "bytes"));
  }
  if (!Fits(used.jobs, more.jobs, quota.max_jobs)) {
    return Fail(Errc::kUnavailable, "too_many_jobs",
                Over(tenant, used.jobs, more.jobs, *quota.max_jobs, "jobs queued or running"));
  }
  return hold;
}

}  // namespace signum
