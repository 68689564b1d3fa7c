// Jobs: durable records beside their versions; the progress of running ones is kept here and
// written now and then.

#include <openssl/rand.h>

#include <algorithm>
#include <cstdio>

#include "storage/base/name.h"
#include "storage/catalog_impl.h"

namespace signum {

namespace {

constexpr size_t kPage = 256;
constexpr size_t kJobTimeDigits = 14;  // hexadecimal microseconds, until the year 4253
constexpr size_t kJobIdPrefix = kJobTimeDigits + 4 + 1;  // and 4 random digits and a '-'

void EndFailed(JobRecord& job, VersionRecord& version, JobState state, std::string_view reason,
               std::string_view message, UnixMicros now) {
  job.state = state;
  version.state = VersionState::kFailed;
  job.error_reason = version.error_reason = reason;
  job.error_message = version.error_message = message;
  job.finished = version.finished = now;
}

void Requeue(JobRecord& job, VersionRecord& version) {
  job.state = JobState::kQueued;
  version.state = VersionState::kQueued;
  job.phase = "queued";
  job.progress = job.rate = 0;
  job.eta_seconds = -1;
}

Error NotRunning(const JobRecord& job) {
  return Fail(Errc::kConflict, "job_not_running",
              "job " + job.id + " is " + std::string(JobStateName(job.state)));
}

}  // namespace

std::string_view TenantOfJob(std::string_view id) {
  if (id.size() <= kJobIdPrefix || id[kJobIdPrefix - 1] != '-') return {};
  const std::string_view tenant = id.substr(kJobIdPrefix);
  const bool known = tenant == kSystemTenant || CheckName("tenant", tenant).has_value();
  return known ? tenant : std::string_view();
}

std::string Catalog::Impl::NewJobId(std::string_view tenant) {
  uint16_t random = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&random), sizeof random);
  std::lock_guard lock(progress_mutex);
  last_job_time = std::max(clock.Now(), last_job_time + 1);
  char prefix[32];
  std::snprintf(prefix, sizeof prefix, "%014llx%04x-",
                static_cast<unsigned long long>(last_job_time), random);
  return prefix + std::string(tenant);
}

void Catalog::Impl::ForgetProgress(std::string_view id) {
  std::lock_guard lock(progress_mutex);
  if (const auto it = progress.find(id); it != progress.end()) progress.erase(it);
}

void Catalog::Impl::ShowProgress(JobRecord& job) const {
  if (job.state != JobState::kRunning) return;
  std::lock_guard lock(progress_mutex);
  const auto it = progress.find(job.id);
  if (it == progress.end()) return;
  job.phase = it->second.phase;
  job.progress = it->second.progress;
  job.rate = it->second.rate;
  job.eta_seconds = it->second.eta_seconds;
  job.loss = it->second.loss;
  job.updated = it->second.updated;
}

Result<JobRecord> Catalog::ChangeJob(std::string_view id, const JobChange& change) {
  return Transact<JobRecord>(impl_->engine, [&](Transaction& transaction) -> Result<JobRecord> {
    SIGNUM_ASSIGN(JobRecord job, RequireJob(transaction, id));
    VersionRecord version;
    if (!job.system()) {
      SIGNUM_ASSIGN(version, RequireVersion(transaction, job.tenant, job.model, job.version));
    }
    const VersionRecord before = version;
    SIGNUM_TRY(change(job, version));
    job.updated = impl_->clock.Now();
    transaction.Put(JobKey(job.tenant, job.id), Encode(job));
    if (!job.system()) SIGNUM_TRY(ChangeVersion(transaction, before, version));
    return job;
  });
}

// The index of open jobs lies in another partition: it may list jobs that are finished or never
// came to be, and whoever reads it checks.
void Catalog::CloseJob(std::string_view id) {
  impl_->ForgetProgress(id);
  Batch batch;
  batch.Delete(OpenJobKey(id));
  static_cast<void>(impl_->engine.Commit(batch));
  impl_->job_watches.Notify(id);
}

Result<JobRecord> Catalog::GetJob(std::string_view id) const {
  const std::string_view tenant = TenantOfJob(id);
  if (tenant.empty()) return UnknownJob(id);
  SIGNUM_ASSIGN(auto job, ReadRecord<JobRecord>(impl_->engine, JobKey(tenant, id)));
  if (!job) return UnknownJob(id);
  impl_->ShowProgress(*job);
  return *std::move(job);
}

Result<std::vector<JobRecord>> Catalog::ListJobs(std::string_view after, size_t limit) const {
  std::vector<JobRecord> jobs;
  std::string cursor(after);
  while (jobs.size() < limit) {
    SIGNUM_ASSIGN(const auto ids, ListNames(impl_->engine, JobIndexKey(""), cursor,
                                            std::min(kPage, limit - jobs.size())));
    if (ids.empty()) break;
    for (const std::string& id : ids) {
      auto job = GetJob(id);
      if (job.has_value()) {
        jobs.push_back(*std::move(job));
      } else if (job.error().code != Errc::kNotFound) {
        return std::move(job).error();
      }
    }
    cursor = ids.back();
  }
  return jobs;
}

Result<std::optional<JobRecord>> Catalog::ClaimJob(const TakesJob& takes) {
  return ClaimWhere(
      [&](const JobRecord& job) { return !job.system() && (takes == nullptr || takes(job)); });
}

Result<std::optional<JobRecord>> Catalog::ClaimWhere(const TakesJob& takes) {
  std::string cursor;
  for (;;) {
    SIGNUM_ASSIGN(const auto ids, ListNames(impl_->engine, OpenJobKey(""), cursor, kPage));
    if (ids.empty()) return std::optional<JobRecord>();
    for (const std::string& id : ids) {
      auto claimed = TryClaim(id, takes);
      if (claimed.has_value()) return std::optional(*std::move(claimed));
      const Errc code = claimed.error().code;
      if (code != Errc::kConflict && code != Errc::kNotFound) return std::move(claimed).error();
    }
    cursor = ids.back();
  }
}

// kConflict where it is not queued (any more), kNotFound where it is gone.
Result<JobRecord> Catalog::TryClaim(std::string_view id, const TakesJob& takes) {
  SIGNUM_ASSIGN(const JobRecord seen, GetJob(id));
  if (seen.state != JobState::kQueued || !takes(seen)) return NotRunning(seen);
  SIGNUM_ASSIGN(JobRecord job, ChangeJob(id, [&](JobRecord& stored, VersionRecord& version) {
                  return Claim(stored, version);
                }));
  impl_->job_watches.Notify(id);
  return job;
}

Result<void> Catalog::Claim(JobRecord& job, VersionRecord& version) const {
  if (job.state != JobState::kQueued) return NotRunning(job);
  job.state = JobState::kRunning;
  version.state = VersionState::kRunning;
  if (job.started == 0) job.started = impl_->clock.Now();  // the first time
  ++job.attempts;
  return {};
}

Result<JobRecord> Catalog::ReportProgress(std::string_view id, std::string_view phase,
                                          double progress, double rate, double eta_seconds,
                                          std::optional<double> loss) {
  SIGNUM_ASSIGN(JobRecord job, GetJob(id));
  if (job.state != JobState::kRunning) return NotRunning(job);
  const UnixMicros now = impl_->clock.Now();
  bool sync = false;
  {
    std::lock_guard lock(impl_->progress_mutex);
    Impl::Progress& known = impl_->progress[job.id];
    sync = known.phase != phase || now - known.synced >= impl_->options.progress_sync_micros;
    known = {std::string(phase), progress, rate, eta_seconds, loss, now, sync ? now : known.synced};
  }
  impl_->ShowProgress(job);
  if (sync) {
    SIGNUM_ASSIGN(job, ChangeJob(id, [&](JobRecord& stored, VersionRecord&) -> Result<void> {
                    if (stored.state != JobState::kRunning) return NotRunning(stored);
                    impl_->ShowProgress(stored);
                    return {};
                  }));
  }
  impl_->job_watches.Notify(id);
  return job;
}

Result<JobRecord> Catalog::CancelJob(std::string_view id) {
  SIGNUM_ASSIGN(
      JobRecord job, ChangeJob(id, [&](JobRecord& stored, VersionRecord& version) -> Result<void> {
        if (IsFinished(stored.state)) {
          return Fail(Errc::kConflict, "job_finished",
                      "job " + stored.id + " is " + std::string(JobStateName(stored.state)));
        }
        stored.cancel_requested = true;
        if (stored.state == JobState::kQueued) {
          EndFailed(stored, version, JobState::kCancelled, "cancelled", "cancelled before it ran",
                    impl_->clock.Now());
        }
        return {};
      }));
  if (IsFinished(job.state)) {
    CloseJob(id);
  } else {
    impl_->ShowProgress(job);
    impl_->job_watches.Notify(id);
  }
  return job;
}

Result<void> Catalog::ReleaseJob(std::string_view id) {
  SIGNUM_TRY(ChangeJob(id, [](JobRecord& job, VersionRecord& version) -> Result<void> {
    if (job.state != JobState::kRunning) return NotRunning(job);
    Requeue(job, version);
    --job.attempts;
    return {};
  }));
  impl_->ForgetProgress(id);
  impl_->job_watches.Notify(id);
  return {};
}

Result<void> Catalog::Recover(JobRecord& job, VersionRecord& version) const {
  if (job.state != JobState::kRunning) return NotRunning(job);
  const UnixMicros now = impl_->clock.Now();
  if (job.cancel_requested) {
    EndFailed(job, version, JobState::kCancelled, "cancelled", "cancelled while it ran", now);
  } else if (job.attempts >= impl_->options.max_attempts) {
    EndFailed(job, version, JobState::kFailed, "too_many_attempts",
              "the service died " + std::to_string(job.attempts) + " times while it ran", now);
  } else {
    Requeue(job, version);
  }
  return {};
}

Result<size_t> Catalog::RequeueRunningJobs() {
  size_t requeued = 0;
  SIGNUM_ASSIGN(const auto ids, ListNames(impl_->engine, OpenJobKey(""), {}, SIZE_MAX));
  for (const std::string& id : ids) {
    auto job = GetJob(id);
    if (job.has_value() && job->state == JobState::kRunning) {
      job = ChangeJob(
          id, [&](JobRecord& stored, VersionRecord& version) { return Recover(stored, version); });
      if (job.has_value() && job->state == JobState::kQueued) ++requeued;
    }
    if (job.has_error() && job.error().code != Errc::kNotFound) return std::move(job).error();
    // Listed as open, but finished, or never created: the process died between two commits.
    if (job.has_error() || IsFinished(job->state)) CloseJob(id);
  }
  return requeued;
}

}  // namespace signum
