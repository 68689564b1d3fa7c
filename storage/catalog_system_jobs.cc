// Jobs of the store itself: they belong to no version, and only the newest are kept.

#include <algorithm>
#include <utility>

#include "storage/catalog_impl.h"

namespace signum {

Result<JobRecord> Catalog::CreateSystemJob(std::string kind, std::string request_json) {
  SIGNUM_TRY(PruneSystemJobs());
  JobRecord job;
  job.id = impl_->NewJobId(kSystemTenant);
  job.kind = std::move(kind);
  job.tenant = kSystemTenant;
  job.request_json = std::move(request_json);
  job.phase = "queued";
  job.created = job.updated = impl_->clock.Now();
  SIGNUM_TRY(SetJobIndex(impl_->engine, job.id, true));
  Batch batch;
  batch.Put(JobKey(kSystemTenant, job.id), Encode(job));
  const auto committed = impl_->engine.Commit(batch);
  if (committed.has_error()) {
    static_cast<void>(SetJobIndex(impl_->engine, job.id, false));
    return committed.error();
  }
  impl_->job_watches.Notify(job.id);
  return job;
}

Result<std::optional<JobRecord>> Catalog::ClaimSystemJob(std::string_view kind) {
  return ClaimWhere([kind](const JobRecord& job) { return job.system() && job.kind == kind; });
}

Result<std::vector<JobRecord>> Catalog::ListSystemJobs() const {
  return ListRecords<JobRecord>(impl_->engine, JobKey(kSystemTenant, ""), {}, SIZE_MAX);
}

Result<void> Catalog::FinishSystemJob(JobRecord job) {
  job.finished = impl_->clock.Now();
  if (job.state == JobState::kDone) job.progress = 1;
  SIGNUM_TRY(ChangeJob(job.id, [&](JobRecord& stored, VersionRecord&) -> Result<void> {
    job.cancel_requested = stored.cancel_requested;
    job.attempts = stored.attempts;
    stored = job;
    return {};
  }));
  CloseJob(job.id);
  return {};
}

Result<void> Catalog::PruneSystemJobs() {
  SIGNUM_ASSIGN(auto jobs, ListSystemJobs());
  std::erase_if(jobs, [](const JobRecord& job) { return !IsFinished(job.state); });
  for (size_t i = 0; i + kSystemJobsKept < jobs.size(); ++i) {
    Batch batch;
    batch.Delete(JobKey(kSystemTenant, jobs[i].id));
    SIGNUM_TRY(impl_->engine.Commit(batch));
    SIGNUM_TRY(SetJobIndex(impl_->engine, jobs[i].id, false));
    impl_->job_watches.Notify(jobs[i].id);
  }
  return {};
}

}  // namespace signum
