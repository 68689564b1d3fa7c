// How versions end and aliases move.

#include <algorithm>
#include <tuple>

#include "storage/base/name.h"
#include "storage/catalog_impl.h"

namespace signum {

namespace {

constexpr size_t kPage = 1000;

Error VersionDeleted(const VersionRecord& version) {
  return Fail(Errc::kConflict, "version_deleted",
              ModelName(version.tenant, version.model) + " version " +
                  std::to_string(version.version) + " was deleted meanwhile");
}

Error VersionBusy(const VersionRecord& version) {
  return Fail(Errc::kConflict, "version_busy",
              "version " + std::to_string(version.version) + " is " +
                  std::string(VersionStateName(version.state)) + "; cancel job " + version.job);
}

Result<VersionRecord> RequireUnfinished(Transaction& transaction, const VersionRecord& version) {
  SIGNUM_ASSIGN(auto stored,
                ReadRecord<VersionRecord>(
                    transaction, VersionKey(version.tenant, version.model, version.version)));
  if (!stored) return VersionDeleted(version);
  if (IsFinished(stored->state)) {
    return Fail(Errc::kConflict, "version_finished",
                ModelName(version.tenant, version.model) + " version " +
                    std::to_string(version.version) + " is " +
                    std::string(VersionStateName(stored->state)));
  }
  return *std::move(stored);
}

// A worker's copy of a job may be older than a request to cancel it.
Result<void> PutJob(Transaction& transaction, JobRecord job, UnixMicros now) {
  SIGNUM_ASSIGN(const JobRecord stored, RequireJob(transaction, job.id));
  job.cancel_requested |= stored.cancel_requested;
  job.attempts = stored.attempts;
  job.updated = now;
  transaction.Put(JobKey(job.tenant, job.id), Encode(job));
  return {};
}

FeedEntry LiveEntry(const std::string& tenant, const std::string& model, uint64_t version,
                    UnixMicros now) {
  return {0, tenant, model, version == 0 ? "removed" : "live", version, now};
}

Result<void> CheckRevision(const AliasRecord& alias, std::optional<uint64_t> expected) {
  const uint64_t revision = alias.version == 0 ? 0 : alias.revision;
  if (!expected || *expected == revision) return {};
  return Fail(Errc::kPrecondition, "alias_changed",
              "alias '" + alias.name + "' is at revision " + std::to_string(revision) + ", not " +
                  std::to_string(*expected));
}

Result<void> CheckReady(Transaction& transaction, std::string_view tenant, std::string_view model,
                        uint64_t version) {
  SIGNUM_ASSIGN(const VersionRecord stored, RequireVersion(transaction, tenant, model, version));
  if (stored.state == VersionState::kReady) return {};
  return Fail(
      Errc::kConflict, "version_not_ready",
      "version " + std::to_string(version) + " is " + std::string(VersionStateName(stored.state)));
}

Result<void> CheckAliasName(std::string_view alias) {
  SIGNUM_TRY(CheckName("alias", alias));
  if (alias == kLatest) {
    return Fail(Errc::kConflict, "alias_reserved", "'latest' moves by itself");
  }
  if (std::all_of(alias.begin(), alias.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    return Fail(Errc::kInvalid, "bad_name",
                "alias '" + std::string(alias) + "' reads like a version number");
  }
  return {};
}

// Ready versions move `latest`, and `live` where the model has none; tells whether `live` moved.
Result<bool> MoveOnReady(Transaction& transaction, Feed::Hold& hold, const VersionRecord& version,
                         UnixMicros now) {
  const auto& [tenant, model] = std::tie(version.tenant, version.model);
  SIGNUM_ASSIGN(const AliasRecord latest, ReadAlias(transaction, tenant, model, kLatest));
  if (latest.version < version.version) {
    MoveAlias(transaction, tenant, model, latest, version.version, now);
  }
  SIGNUM_ASSIGN(const AliasRecord live, ReadAlias(transaction, tenant, model, kLive));
  // "Has none" means never had: a live alias that an admin removed stays removed.
  if (live.revision != 0) return false;
  MoveAlias(transaction, tenant, model, live, version.version, now);
  SIGNUM_TRY(hold.Append(transaction, LiveEntry(tenant, model, version.version, now)));
  return true;
}

}  // namespace

Result<void> Catalog::UpdateVersion(const VersionRecord& version, const JobRecord* job) {
  const auto updated = Transact<void>(impl_->engine, [&](Transaction& transaction) -> Result<void> {
    SIGNUM_ASSIGN(const VersionRecord stored, RequireUnfinished(transaction, version));
    SIGNUM_TRY(ChangeVersion(transaction, stored, version));
    return job == nullptr ? Result<void>() : PutJob(transaction, *job, impl_->clock.Now());
  });
  if (updated.has_error()) return updated;
  if (job == nullptr) return {};
  if (IsFinished(job->state)) {
    CloseJob(job->id);
  } else {
    impl_->ForgetProgress(job->id);
    impl_->job_watches.Notify(job->id);
  }
  return {};
}

Result<void> Catalog::FinishVersion(VersionRecord version, JobRecord job) {
  const UnixMicros now = impl_->clock.Now();
  const bool ready = version.state == VersionState::kReady;
  version.finished = job.finished = now;
  if (ready) job.progress = 1;
  const auto finished = [&] {
    Feed::Hold hold(impl_->feed);
    return Transact<bool>(impl_->engine, [&](Transaction& transaction) -> Result<bool> {
      SIGNUM_ASSIGN(const VersionRecord stored, RequireUnfinished(transaction, version));
      SIGNUM_ASSIGN(const ModelRecord model,
                    RequireModel(transaction, version.tenant, version.model));
      PutChanged(transaction, version.tenant, version.model, model);
      SIGNUM_TRY(ChangeVersion(transaction, stored, version));
      SIGNUM_TRY(PutJob(transaction, job, now));
      return ready ? MoveOnReady(transaction, hold, version, now) : Result<bool>(false);
    });
  }();
  if (finished.has_error()) return finished.error();
  CloseJob(job.id);
  if (*finished) impl_->feed_watches.Notify(version.tenant);
  return {};
}

Result<void> Catalog::DeleteVersion(std::string_view tenant, std::string_view model,
                                    uint64_t version) {
  return Transact<void>(impl_->engine, [&](Transaction& transaction) -> Result<void> {
    SIGNUM_ASSIGN(const ModelRecord record, RequireModel(transaction, tenant, model));
    SIGNUM_ASSIGN(const VersionRecord stored, RequireVersion(transaction, tenant, model, version));
    if (!IsFinished(stored.state)) return VersionBusy(stored);
    SIGNUM_TRY(CheckUnused(tenant, model, version));
    SIGNUM_ASSIGN(const AliasRecord latest, ReadAlias(transaction, tenant, model, kLatest));
    if (latest.version == version) {
      SIGNUM_ASSIGN(const uint64_t newest, NewestReady(tenant, model, version));
      MoveAlias(transaction, tenant, model, latest, newest, impl_->clock.Now());
    }
    PutChanged(transaction, tenant, model, record);
    return ChangeVersion(transaction, stored, std::nullopt);
  });
}

Result<void> Catalog::ForgetExact(std::string_view tenant, std::string_view model,
                                  uint64_t version) {
  return Transact<void>(impl_->engine, [&](Transaction& transaction) -> Result<void> {
    SIGNUM_ASSIGN(const VersionRecord stored, RequireVersion(transaction, tenant, model, version));
    if (!IsFinished(stored.state)) return VersionBusy(stored);
    VersionRecord without = stored;
    without.exact_kept = false;
    without.exact_bytes = 0;
    return ChangeVersion(transaction, stored, without);
  });
}

// Aliases and versions are scanned without conditions of their own: every change of one counts in
// the model's record, which the transaction depends on.
Result<void> Catalog::CheckUnused(std::string_view tenant, std::string_view model,
                                  uint64_t version) const {
  SIGNUM_ASSIGN(const auto aliases, ListAliases(tenant, model));
  for (const AliasRecord& alias : aliases) {
    if (alias.version != version || alias.name == kLatest) continue;
    return Fail(Errc::kConflict, "version_in_use",
                "alias '" + alias.name + "' points at version " + std::to_string(version));
  }
  return {};
}

Result<uint64_t> Catalog::NewestReady(std::string_view tenant, std::string_view model,
                                      uint64_t but) const {
  uint64_t newest = 0;
  uint64_t after = 0;
  for (;;) {
    SIGNUM_ASSIGN(const auto page, ListVersions(tenant, model, after, kPage));
    for (const VersionRecord& version : page) {
      const bool ready = version.state == VersionState::kReady && version.version != but;
      if (ready) newest = std::max(newest, version.version);
    }
    if (page.size() < kPage) return newest;
    after = page.back().version;
  }
}

Result<AliasRecord> Catalog::GetAlias(std::string_view tenant, std::string_view model,
                                      std::string_view alias) const {
  SIGNUM_ASSIGN(auto record,
                ReadRecord<AliasRecord>(impl_->engine, AliasKey(tenant, model, alias)));
  if (!record || record->version == 0) {
    return Fail(
        Errc::kNotFound, "unknown_alias",
        ModelName(tenant, model) + " has no alias '" + std::string(alias.substr(0, 63)) + "'");
  }
  return *std::move(record);
}

Result<std::vector<AliasRecord>> Catalog::ListAliases(std::string_view tenant,
                                                      std::string_view model) const {
  SIGNUM_ASSIGN(auto aliases,
                ListRecords<AliasRecord>(impl_->engine, AliasKey(tenant, model, ""), {}, SIZE_MAX));
  std::erase_if(aliases, [](const AliasRecord& alias) { return alias.version == 0; });
  return aliases;
}

Result<AliasRecord> Catalog::SetAlias(std::string_view tenant, std::string_view model,
                                      std::string_view alias, uint64_t version,
                                      std::optional<uint64_t> expected_revision) {
  SIGNUM_TRY(CheckAliasName(alias));
  return ChangeAlias(tenant, model, alias, expected_revision, version);
}

Result<void> Catalog::DeleteAlias(std::string_view tenant, std::string_view model,
                                  std::string_view alias,
                                  std::optional<uint64_t> expected_revision) {
  SIGNUM_TRY(CheckAliasName(alias));
  SIGNUM_TRY(ChangeAlias(tenant, model, alias, expected_revision, 0));
  return {};
}

Result<AliasRecord> Catalog::ChangeAlias(std::string_view tenant, std::string_view model,
                                         std::string_view alias,
                                         std::optional<uint64_t> expected_revision,
                                         uint64_t version) {
  const UnixMicros now = impl_->clock.Now();
  const auto change = [&](Transaction& transaction, Feed::Hold* hold) -> Result<AliasRecord> {
    SIGNUM_ASSIGN(const ModelRecord record, RequireModel(transaction, tenant, model));
    SIGNUM_ASSIGN(const AliasRecord stored, ReadAlias(transaction, tenant, model, alias));
    SIGNUM_TRY(CheckRevision(stored, expected_revision));
    if (version == 0 && stored.version == 0) {
      return Fail(Errc::kNotFound, "unknown_alias",
                  ModelName(tenant, model) + " has no alias '" + std::string(alias) + "'");
    }
    if (version == stored.version) return stored;
    if (version != 0) SIGNUM_TRY(CheckReady(transaction, tenant, model, version));
    PutChanged(transaction, tenant, model, record);
    if (hold != nullptr) {
      SIGNUM_TRY(hold->Append(transaction,
                              LiveEntry(std::string(tenant), std::string(model), version, now)));
    }
    return MoveAlias(transaction, tenant, model, stored, version, now);
  };
  if (alias != kLive) {
    return Transact<AliasRecord>(impl_->engine, [&](Transaction& t) { return change(t, nullptr); });
  }
  auto changed = [&] {
    Feed::Hold hold(impl_->feed);
    return Transact<AliasRecord>(impl_->engine, [&](Transaction& t) { return change(t, &hold); });
  }();
  if (changed.has_value()) impl_->feed_watches.Notify(tenant);
  return changed;
}

}  // namespace signum
