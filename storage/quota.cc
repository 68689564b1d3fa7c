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

void Count(const VersionRecord& version, TenantUsage& usage) {
  const bool open =
      version.state == VersionState::kQueued || version.state == VersionState::kRunning;
  ++usage.versions;
  if (open) ++usage.jobs;
  if (open || version.exact_kept) usage.bytes += version.upload_bytes;
  usage.bytes += version.delta_bytes;
}

bool Fits(uint64_t used, uint64_t more, const std::optional<uint64_t>& most) {
  return more == 0 || !most || (more <= *most && used <= *most - more);
}

std::string Over(std::string_view tenant, uint64_t used, uint64_t more, uint64_t most,
                 std::string_view what) {
  return "tenant '" + std::string(tenant) + "' has " + std::to_string(used) + " of " +
         std::to_string(most) + " " + std::string(what) + ", and this takes " +
         std::to_string(more) + " more";
}

}  // namespace

Result<std::unique_ptr<Quotas>> Quotas::Open(Engine& engine, const Catalog& catalog,
                                             const Uploads& uploads, const Quota& defaults) {
  std::unique_ptr<Quotas> quotas(new Quotas(engine, catalog, uploads, defaults));
  SIGNUM_TRY(quotas->Load());
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
  TenantUsage usage;
  SIGNUM_ASSIGN(const auto models, catalog_.ListModels(tenant, {}, SIZE_MAX));
  for (const std::string& model : models) {
    SIGNUM_TRY(ForEachVersionOf(catalog_, std::string(tenant), model,
                                [&](const VersionRecord& version) -> Result<void> {
                                  Count(version, usage);
                                  return {};
                                }));
  }
  SIGNUM_ASSIGN(const uint64_t staged, uploads_.StagedBytes(tenant));
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
