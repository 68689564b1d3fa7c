#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/base/clock.h"
#include "storage/base/digest.h"
#include "storage/engine.h"

namespace signum {

struct BaseRecord {
  std::string name;
  Digest digest;  // of the base manifest
  Digest recipe;  // recipe object
  uint64_t upload_bytes = 0;
  uint64_t stored_bytes = 0;  // what its ingest added to the store
  uint64_t parameters = 0;
  uint64_t tensors = 0;
  std::string architecture;
  std::string creator;
  std::string upload;  // staged upload it was made from: tells a repeated request from another one
  UnixMicros created = 0;
};

enum class VersionState : uint8_t {
  kQueued = 0,
  kRunning = 1,
  kReady = 2,
  kRejected = 3,
  kFailed = 4
};
std::string_view VersionStateName(VersionState state);

struct RebuiltFile {  // of the onebit checkpoint
  std::string path;
  uint64_t size = 0;
  Digest digest;
};

struct VersionRecord {
  std::string tenant, model;
  uint64_t version = 0;
  VersionState state = VersionState::kQueued;
  std::string base;
  Digest base_digest;
  std::string options_json;        // codec, scales, embeddings, method, keep_exact as asked for
  std::string upload;              // staged upload it is or was made from; empty: from_version
  uint64_t from_version = 0;       // whose exact upload it is made from; 0: its own
  std::optional<Digest> recipe;    // exact recipe object, once ingested
  std::optional<Digest> delta;     // delta file object, once sealed
  std::optional<Digest> manifest;  // signed manifest object
  std::vector<RebuiltFile> rebuilt;
  uint64_t upload_bytes = 0;
  uint64_t exact_bytes = 0;  // what keeping it exactly added to the store; 0 where dropped
  uint64_t delta_bytes = 0;
  uint64_t linear_weights = 0, linear_bytes = 0;
  bool exact_kept = false;  // the objects that `recipe` names belong to it
  std::string fidelity_json;
  std::string made_json;  // method and embeddings as done, and why where others were asked for
  uint64_t parent = 0;    // lineage: the version that was live when this one was created; 0 none
  std::string job;
  std::string error_reason, error_message;
  std::string creator;
  UnixMicros created = 0, finished = 0;
};

struct AliasRecord {
  std::string name;
  uint64_t version = 0;
  uint64_t revision = 0;  // counts changes; its ETag
  uint64_t previous = 0;  // what it pointed at before; 0 none
  UnixMicros updated = 0;
};

enum class JobState : uint8_t { kQueued = 0, kRunning = 1, kDone = 2, kFailed = 3, kCancelled = 4 };
std::string_view JobStateName(JobState state);

// Whose jobs those of the store itself are: no name of a tenant.
inline constexpr std::string_view kSystemTenant = "_system";

struct JobRecord {
  std::string id;
  std::string kind;           // "compress"; of the store itself: "gc", "scrub", "backup"
  std::string tenant, model;  // kSystemTenant, no model and no version for the latter
  uint64_t version = 0;
  JobState state = JobState::kQueued;
  std::string phase;           // queued, ingest, compress, verify, seal, done
  double progress = 0;         // 0…1 over all phases
  double rate = 0;             // of the present phase: bytes a second, or steps of a training
  double eta_seconds = -1;     // -1 unknown
  std::optional<double> loss;  // of a training's newest step
  bool cancel_requested = false;
  uint32_t attempts = 0;  // times it was started
  std::string error_reason, error_message;
  std::string request_json, result_json;  // of the store's own jobs
  UnixMicros created = 0, started = 0, updated = 0, finished = 0;

  bool system() const { return tenant == kSystemTenant; }
};

// One entry of the watch feed: what a tenant's `live` says of one model changed.
struct FeedEntry {
  uint64_t seq = 0;
  std::string tenant, model;
  std::string kind;      // "live" (moved) or "removed"
  uint64_t version = 0;  // 0 for removed
  UnixMicros at = 0;
};

struct LiveModel {
  std::string model;
  VersionRecord version;
};

struct CatalogOptions {
  uint64_t feed_keep = 100'000;              // entries of the feed kept for each tenant
  int64_t progress_sync_micros = 1'000'000;  // progress of a job is made durable this often
  uint32_t max_attempts = 10;                // starts of a job that its process did not survive
};

// Everything mutable that the registry knows of bases, versions, aliases, jobs and the feed. Every
// change is one atomic durable batch. Names are checked (CheckName). Thread-safe.
//
// Lists: names in order, those after `after` (exclusive), at most `limit`.
class Catalog {
 public:
  Catalog(Engine& engine, const Clock& clock, const CatalogOptions& options = {});
  ~Catalog();

  // ---- bases
  Result<void> CreateBase(const BaseRecord& base);          // kConflict "base_exists"
  Result<BaseRecord> GetBase(std::string_view name) const;  // kNotFound "unknown_base"
  Result<std::vector<BaseRecord>> ListBases(std::string_view after, size_t limit) const;

  // ---- versions
  // Gives the next number of tenant/model (1, 2, 3…; never reused, also after deletes) and queues
  // its job, in one batch. Fills version, job, state, created. Returns the record.
  Result<VersionRecord> CreateVersion(VersionRecord version);
  Result<VersionRecord> GetVersion(std::string_view tenant, std::string_view model,
                                   uint64_t version) const;  // kNotFound "unknown_version"
  // `selector` is a number or an alias. kNotFound "unknown_model", "unknown_version",
  // "unknown_alias".
  Result<VersionRecord> ResolveVersion(std::string_view tenant, std::string_view model,
                                       std::string_view selector) const;
  Result<std::vector<VersionRecord>> ListVersions(std::string_view tenant, std::string_view model,
                                                  uint64_t after, size_t limit) const;
  Result<std::vector<std::string>> ListTenants(std::string_view after, size_t limit) const;
  Result<std::vector<std::string>> ListModels(std::string_view tenant, std::string_view after,
                                              size_t limit) const;
  // Replaces fields of a version that is not yet finished (ingested recipe and the like). The job
  // record changes with it in the same batch where given.
  Result<void> UpdateVersion(const VersionRecord& version, const JobRecord* job);
  // Ready: moves `latest`; moves `live` where the model has none; appends to the feed; all in one
  // batch with the finished job. kConflict where the version was deleted meanwhile.
  Result<void> FinishVersion(VersionRecord version, JobRecord job);
  // kConflict "version_in_use" while an alias but `latest` points at it (names the alias), and
  // while its job runs ("version_busy"); `latest` falls back to the newest ready version left.
  Result<void> DeleteVersion(std::string_view tenant, std::string_view model, uint64_t version);
  // A finished version gives up its exact upload: it keeps the recipe, and what nothing else names
  // is collected. kConflict "version_busy".
  Result<void> ForgetExact(std::string_view tenant, std::string_view model, uint64_t version);

  // ---- aliases
  Result<AliasRecord> GetAlias(std::string_view tenant, std::string_view model,
                               std::string_view alias) const;  // kNotFound "unknown_alias"
  Result<std::vector<AliasRecord>> ListAliases(std::string_view tenant,
                                               std::string_view model) const;
  // Compare-and-set: `expected_revision` nullopt: whatever it is; 0: must not exist; else must be
  // that. kPrecondition "alias_changed"; kConflict "version_not_ready"; kNotFound
  // "unknown_version". Moving `live` appends to the feed. `latest` cannot be set (kConflict
  // "alias_reserved").
  Result<AliasRecord> SetAlias(std::string_view tenant, std::string_view model,
                               std::string_view alias, uint64_t version,
                               std::optional<uint64_t> expected_revision);
  Result<void> DeleteAlias(std::string_view tenant, std::string_view model, std::string_view alias,
                           std::optional<uint64_t> expected_revision);

  // ---- jobs
  Result<JobRecord> GetJob(std::string_view id) const;  // kNotFound "unknown_job"
  Result<std::vector<JobRecord>> ListJobs(std::string_view after,
                                          size_t limit) const;  // by id: oldest first
  // Oldest queued job of a version, of those that `takes` takes (null: of all) → running, attempts
  // + 1; nullopt where there is none.
  using TakesJob = std::function<bool(const JobRecord&)>;
  Result<std::optional<JobRecord>> ClaimJob(const TakesJob& takes = nullptr);

  // Jobs of the store itself: they have a kind, a request and a result, and no version. The newest
  // kSystemJobsKept of them that are over are kept.
  static constexpr size_t kSystemJobsKept = 100;
  Result<JobRecord> CreateSystemJob(std::string kind, std::string request_json);
  Result<std::optional<JobRecord>> ClaimSystemJob(std::string_view kind);
  Result<std::vector<JobRecord>> ListSystemJobs() const;  // oldest first
  // Writes how it ended: state, error, result.
  Result<void> FinishSystemJob(JobRecord job);

  // Progress of a running job; returns the stored record (its cancel_requested may have been set).
  Result<JobRecord> ReportProgress(std::string_view id, std::string_view phase, double progress,
                                   double rate, double eta_seconds,
                                   std::optional<double> loss = std::nullopt);
  // A queued job is cancelled at once (its version fails with reason "cancelled"); a running one
  // gets cancel_requested. kConflict "job_finished".
  Result<JobRecord> CancelJob(std::string_view id);
  // Gives a running job back to the queue, as if it had not been started: its worker is stopping.
  Result<void> ReleaseJob(std::string_view id);
  // After a start: running jobs of a dead process go back to queued, or are cancelled where that
  // was asked for; a job started max_attempts times fails with "too_many_attempts". Returns how
  // many.
  Result<size_t> RequeueRunningJobs();

  // ---- feed
  Result<uint64_t> FeedSeq() const;  // of the newest entry; 0 for none
  // Entries after `since` of these tenants, oldest first. kNotFound "feed_gone" where `since` is
  // older than what is kept (the API's 410) or newer than FeedSeq().
  Result<std::vector<FeedEntry>> ReadFeed(const std::vector<std::string>& tenants, uint64_t since,
                                          size_t limit) const;
  Result<std::vector<LiveModel>> Live(std::string_view tenant) const;

  // Calls back with the tenant after each feed entry (any thread; must be quick).
  std::shared_ptr<void> WatchFeed(std::function<void(std::string_view tenant)> callback);
  // Calls back with the job's id after each change of a job.
  std::shared_ptr<void> WatchJobs(std::function<void(std::string_view job)> callback);

 private:
  Result<void> CheckUnused(std::string_view tenant, std::string_view model, uint64_t version) const;
  Result<uint64_t> NewestReady(std::string_view tenant, std::string_view model, uint64_t but) const;
  // `version` 0 removes the alias.
  Result<AliasRecord> ChangeAlias(std::string_view tenant, std::string_view model,
                                  std::string_view alias, std::optional<uint64_t> expected_revision,
                                  uint64_t version);
  // Runs `change(job, version)` on the stored records and commits both; returns the job. A job of
  // the store itself has a version of no meaning.
  using JobChange = std::function<Result<void>(JobRecord&, VersionRecord&)>;
  Result<JobRecord> ChangeJob(std::string_view id, const JobChange& change);
  Result<JobRecord> TryClaim(std::string_view id, const TakesJob& takes);
  Result<void> Claim(JobRecord& job, VersionRecord& version) const;
  Result<void> Recover(JobRecord& job, VersionRecord& version) const;
  Result<std::optional<JobRecord>> ClaimWhere(const TakesJob& takes);
  Result<void> PruneSystemJobs();
  void CloseJob(std::string_view id);  // after it finished

  struct Impl;  // catalog_impl.h
  std::unique_ptr<Impl> impl_;
};

}  // namespace signum
