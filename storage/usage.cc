#include "storage/usage.h"

#include <algorithm>

#include "storage/record.h"
#include "storage/upload_records.h"

namespace signum {

template <class F, class R>
requires RecordOf<R, UsageCounter>
void Fields(F& f, R& r) {
  f("bytes", r.sum.bytes);
  f("versions", r.sum.versions);
  f("jobs", r.sum.jobs);
  f("changes", r.changes);
}

namespace {

// A counter that is off does not make it worse: scrub counts anew.
uint64_t Replaced(uint64_t sum, uint64_t before, uint64_t after) {
  return sum - std::min(sum, before) + after;
}

}  // namespace

TenantUsage& TenantUsage::operator+=(const TenantUsage& more) {
  bytes += more.bytes;
  versions += more.versions;
  jobs += more.jobs;
  return *this;
}

TenantUsage UsageOf(const VersionRecord& version) {
  const bool open =
      version.state == VersionState::kQueued || version.state == VersionState::kRunning;
  TenantUsage usage;
  usage.versions = 1;
  usage.jobs = open ? 1 : 0;
  usage.bytes = version.delta_bytes;
  if (open || version.exact_kept) usage.bytes += version.upload_bytes;
  return usage;
}

TenantUsage UsageOf(const Upload& upload) {
  TenantUsage usage;
  if (upload.pinned) return usage;
  for (const UploadFile& file : upload.files) usage.bytes += file.size;
  return usage;
}

std::string VersionUsageKey(std::string_view tenant) {
  return "t/" + std::string(tenant) + "/usage";
}

std::string UploadUsageKey(std::string_view tenant) {
  return std::string(kUploadUsagePrefix) + std::string(tenant);
}

std::string EncodeUsage(const UsageCounter& counter) { return EncodeRecord(counter); }
Result<UsageCounter> DecodeUsage(std::string_view bytes, std::string_view key) {
  return DecodeRecord<UsageCounter>(bytes, key);
}

Result<UsageCounter> ReadUsage(const Engine& engine, const std::string& key) {
  SIGNUM_ASSIGN(const auto stored, engine.Get(key));
  if (!stored) return UsageCounter();
  return DecodeUsage(*stored, key);
}

Result<void> CountChange(Transaction& transaction, const std::string& key,
                         const TenantUsage& before, const TenantUsage& after) {
  if (before == after) return {};
  SIGNUM_ASSIGN(const auto stored, transaction.Get(key));
  UsageCounter counter;
  if (stored) {
    SIGNUM_ASSIGN(counter, DecodeUsage(*stored, key));
  }
  TenantUsage& sum = counter.sum;
  sum.bytes = Replaced(sum.bytes, before.bytes, after.bytes);
  sum.versions = Replaced(sum.versions, before.versions, after.versions);
  sum.jobs = Replaced(sum.jobs, before.jobs, after.jobs);
  ++counter.changes;
  transaction.Put(key, EncodeUsage(counter));
  return {};
}

}  // namespace signum
