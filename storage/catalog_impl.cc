#include "storage/catalog_impl.h"

#include "storage/usage.h"

namespace signum {

Result<std::vector<std::string>> ListNames(const Engine& engine, const std::string& prefix,
                                           std::string_view after, size_t limit) {
  const std::string begin = after.empty() ? prefix : prefix + std::string(after) + '\0';
  SIGNUM_ASSIGN(const auto found, engine.Scan(begin, RangeEnd(prefix), limit));
  std::vector<std::string> names;
  names.reserve(found.size());
  for (const KeyValue& item : found) names.emplace_back(LastPart(item.key));
  return names;
}

std::string ModelName(std::string_view tenant, std::string_view model) {
  return std::string(tenant) + "/" + std::string(model);
}
Error UnknownVersion(std::string_view tenant, std::string_view model, uint64_t version) {
  return Fail(Errc::kNotFound, "unknown_version",
              ModelName(tenant, model) + " has no version " + std::to_string(version));
}
Error UnknownModel(std::string_view tenant, std::string_view model) {
  return Fail(Errc::kNotFound, "unknown_model", "no model '" + ModelName(tenant, model) + "'");
}
Error UnknownJob(std::string_view id) {
  return Fail(Errc::kNotFound, "unknown_job", "no job '" + std::string(id.substr(0, 100)) + "'");
}

bool IsFinished(JobState state) {
  return state != JobState::kQueued && state != JobState::kRunning;
}
bool IsFinished(VersionState state) {
  return state != VersionState::kQueued && state != VersionState::kRunning;
}

Result<ModelRecord> RequireModel(Transaction& transaction, std::string_view tenant,
                                 std::string_view model) {
  SIGNUM_ASSIGN(auto record, ReadRecord<ModelRecord>(transaction, ModelKey(tenant, model)));
  if (!record) return UnknownModel(tenant, model);
  return *record;
}

void PutChanged(Transaction& transaction, std::string_view tenant, std::string_view model,
                ModelRecord record) {
  ++record.changes;
  transaction.Put(ModelKey(tenant, model), Encode(record));
}

Result<void> ChangeVersion(Transaction& transaction, const std::optional<VersionRecord>& before,
                           const std::optional<VersionRecord>& after) {
  const VersionRecord& version = after ? *after : *before;
  const std::string key = VersionKey(version.tenant, version.model, version.version);
  if (after) transaction.Put(key, Encode(*after));
  if (!after) transaction.Delete(key);
  return CountChange(transaction, VersionUsageKey(version.tenant),
                     before ? UsageOf(*before) : TenantUsage(),
                     after ? UsageOf(*after) : TenantUsage());
}

Result<VersionRecord> RequireVersion(Transaction& transaction, std::string_view tenant,
                                     std::string_view model, uint64_t version) {
  SIGNUM_ASSIGN(auto record,
                ReadRecord<VersionRecord>(transaction, VersionKey(tenant, model, version)));
  if (!record) return UnknownVersion(tenant, model, version);
  return *std::move(record);
}

Result<void> SetJobIndex(Engine& engine, const std::string& id, bool present) {
  const auto value = present ? std::optional<std::string>("") : std::nullopt;
  Batch batch;
  batch.mutations = {{JobIndexKey(id), value}, {OpenJobKey(id), value}};
  return engine.Commit(batch);
}

Result<JobRecord> RequireJob(Transaction& transaction, std::string_view id) {
  const std::string_view tenant = TenantOfJob(id);
  if (tenant.empty()) return UnknownJob(id);
  SIGNUM_ASSIGN(auto record, ReadRecord<JobRecord>(transaction, JobKey(tenant, id)));
  if (!record) return UnknownJob(id);
  return *std::move(record);
}

Result<AliasRecord> ReadAlias(Transaction& transaction, std::string_view tenant,
                              std::string_view model, std::string_view alias) {
  SIGNUM_ASSIGN(auto record, ReadRecord<AliasRecord>(transaction, AliasKey(tenant, model, alias)));
  AliasRecord found = record.value_or(AliasRecord());
  found.name = alias;
  return found;
}

AliasRecord MoveAlias(Transaction& transaction, std::string_view tenant, std::string_view model,
                      AliasRecord alias, uint64_t version, UnixMicros now) {
  alias.previous = alias.version;
  alias.version = version;
  ++alias.revision;
  alias.updated = now;
  transaction.Put(AliasKey(tenant, model, alias.name), Encode(alias));
  return alias;
}

}  // namespace signum
