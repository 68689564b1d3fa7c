#pragma once

#include <map>
#include <mutex>
#include <string>

#include "storage/catalog.h"
#include "storage/catalog_records.h"
#include "storage/feed.h"
#include "storage/transaction.h"
#include "storage/watch_list.h"

// What the parts of the catalog share. Private to catalog*.cc.

namespace signum {

struct Catalog::Impl {
  Impl(Engine& e, const Clock& c, const CatalogOptions& o)
      : engine(e), clock(c), options(o), feed(e, o.feed_keep) {}

  Engine& engine;
  const Clock& clock;
  const CatalogOptions options;
  Feed feed;
  WatchList feed_watches;
  WatchList job_watches;

  // Progress that is newer than what the store has, by job.
  struct Progress {
    std::string phase;
    double progress = 0, rate = 0, eta_seconds = -1;
    std::optional<double> loss;
    UnixMicros updated = 0;
    UnixMicros synced = 0;  // when it was last made durable
  };
  mutable std::mutex progress_mutex;
  std::map<std::string, Progress, std::less<>> progress;
  UnixMicros last_job_time = 0;  // under progress_mutex

  // An id that sorts after all earlier ones and carries its tenant.
  std::string NewJobId(std::string_view tenant);
  void ForgetProgress(std::string_view id);
  void ShowProgress(JobRecord& job) const;
};

template <class R>
Result<std::optional<R>> Decoded(const std::optional<std::string>& stored, const std::string& key) {
  if (!stored) return std::optional<R>();
  SIGNUM_ASSIGN(R record, Decode<R>(*stored, key));
  return std::optional<R>(std::move(record));
}

// A record that a transaction reads, and thereby depends on; nullopt where there is none.
template <class R>
Result<std::optional<R>> ReadRecord(Transaction& transaction, const std::string& key) {
  SIGNUM_ASSIGN(const auto stored, transaction.Get(key));
  return Decoded<R>(stored, key);
}
template <class R>
Result<std::optional<R>> ReadRecord(const Engine& engine, const std::string& key) {
  SIGNUM_ASSIGN(const auto stored, engine.Get(key));
  return Decoded<R>(stored, key);
}

// All records in the range of `prefix` after `after`.
template <class R>
Result<std::vector<R>> ListRecords(const Engine& engine, const std::string& prefix,
                                   std::string_view after, size_t limit) {
  const std::string begin = after.empty() ? prefix : prefix + std::string(after) + '\0';
  SIGNUM_ASSIGN(const auto found, engine.Scan(begin, RangeEnd(prefix), limit));
  std::vector<R> records;
  records.reserve(found.size());
  for (const KeyValue& item : found) {
    SIGNUM_ASSIGN(R record, Decode<R>(item.value, item.key));
    records.push_back(std::move(record));
  }
  return records;
}

// The last parts of the keys in that range.
Result<std::vector<std::string>> ListNames(const Engine& engine, const std::string& prefix,
                                           std::string_view after, size_t limit);

Error UnknownVersion(std::string_view tenant, std::string_view model, uint64_t version);
Error UnknownModel(std::string_view tenant, std::string_view model);
Error UnknownJob(std::string_view id);
std::string ModelName(std::string_view tenant, std::string_view model);  // "acme/chat"

bool IsFinished(JobState state);
bool IsFinished(VersionState state);
// The tenant that a job id carries; empty where it is no such id.
std::string_view TenantOfJob(std::string_view id);

// Reads the model's record; kNotFound "unknown_model".
Result<ModelRecord> RequireModel(Transaction& transaction, std::string_view tenant,
                                 std::string_view model);
// Counts a change of the model, so that it commits only alone.
void PutChanged(Transaction& transaction, std::string_view tenant, std::string_view model,
                ModelRecord record);
// Writes a version in place of `before` (nullopt: it is new), or removes it (`after` is nullopt),
// and counts that in the tenant's usage. Every change of a version's record goes through here.
Result<void> ChangeVersion(Transaction& transaction, const std::optional<VersionRecord>& before,
                           const std::optional<VersionRecord>& after);
Result<VersionRecord> RequireVersion(Transaction& transaction, std::string_view tenant,
                                     std::string_view model, uint64_t version);
// The index of jobs lies in another partition. An entry is written before its job and removed after
// it: who finds one that leads nowhere leaves it out.
Result<void> SetJobIndex(Engine& engine, const std::string& id, bool present);
Result<JobRecord> RequireJob(Transaction& transaction, std::string_view id);

// Points `alias` at `version` (0: nowhere) and counts its revision. An alias that points nowhere
// keeps its record, so that a revision never comes back. Returns the alias as it will be.
AliasRecord MoveAlias(Transaction& transaction, std::string_view tenant, std::string_view model,
                      AliasRecord alias, uint64_t version, UnixMicros now);
Result<AliasRecord> ReadAlias(Transaction& transaction, std::string_view tenant,
                              std::string_view model, std::string_view alias);

inline constexpr std::string_view kLive = "live";
inline constexpr std::string_view kLatest = "latest";

}  // namespace signum
