#include "server/job_counts.h"

#include <utility>

namespace signum {

JobCounts::JobCounts(Catalog& catalog) : catalog_(catalog) {
  watch_ = catalog.WatchJobs([this](std::string_view id) {
    const std::lock_guard lock(changed_mutex_);
    changed_.emplace(id);
  });
}

void JobCounts::Count(const std::string& id, std::optional<JobState> state) {
  if (const auto known = states_.find(id); known != states_.end()) {
    --counts_[static_cast<size_t>(known->second)];
    states_.erase(known);
  }
  if (state) {
    ++counts_[static_cast<size_t>(*state)];
    states_.emplace(id, *state);
  }
}

Result<void> JobCounts::ReadAll() {
  constexpr size_t kPage = 1000;
  std::string after;
  for (;;) {
    SIGNUM_ASSIGN(const auto jobs, catalog_.ListJobs(after, kPage));
    for (const JobRecord& job : jobs) Count(job.id, job.state);
    if (jobs.size() < kPage) break;
    after = jobs.back().id;
  }
  read_all_ = true;
  return {};
}

Result<std::map<std::string, uint64_t>> JobCounts::Read() {
  const std::lock_guard lock(mutex_);
  std::unordered_set<std::string> changed;
  {
    const std::lock_guard changed_lock(changed_mutex_);
    changed.swap(changed_);
  }
  if (!read_all_) SIGNUM_TRY(ReadAll());
  for (const std::string& id : changed) {
    const auto job = catalog_.GetJob(id);
    Count(id, job.has_value() ? std::optional(job->state) : std::nullopt);
  }
  std::map<std::string, uint64_t> named;
  for (size_t i = 0; i < counts_.size(); ++i) {
    named.emplace(JobStateName(static_cast<JobState>(i)), counts_[i]);
  }
  return named;
}

}  // namespace signum
