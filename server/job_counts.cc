#include "server/job_counts.h"

#include <utility>

namespace signum {

namespace {

constexpr size_t kMostChanged = 10'000;
constexpr size_t kMostEnded = 10'000;

bool IsOpen(JobState state) { return state == JobState::kQueued || state == JobState::kRunning; }

}  // namespace

JobCounts::JobCounts(Catalog& catalog) : catalog_(catalog) {
  watch_ = catalog.WatchJobs([this](std::string_view id) {
    const std::lock_guard lock(changed_mutex_);
    if (read_all_) changed_.emplace(id);
    if (changed_.size() <= kMostChanged) return;
    changed_.clear();  // nobody scrapes: whoever does next reads all
    read_all_ = false;
  });
}

void JobCounts::Count(const std::string& id, std::optional<JobState> state) {
  if (const auto known = open_.find(id); known != open_.end()) {
    --counts_[static_cast<size_t>(known->second)];
    open_.erase(known);
  }
  if (!state) return;
  if (!IsOpen(*state)) return CountEnded(id, *state);
  ++counts_[static_cast<size_t>(*state)];
  open_.emplace(id, *state);
}

void JobCounts::CountEnded(const std::string& id, JobState state) {
  if (!ended_.insert(id).second) return;
  ++counts_[static_cast<size_t>(state)];
  ended_order_.push_back(id);
  if (ended_order_.size() <= kMostEnded) return;
  ended_.erase(ended_order_.front());
  ended_order_.pop_front();
}

// Notices from before the first page on are kept: what changes meanwhile is looked at again.
Result<void> JobCounts::ReadAll() {
  constexpr size_t kPage = 1000;
  open_.clear();
  ended_.clear();
  ended_order_.clear();
  counts_ = {};
  std::string after;
  for (;;) {
    SIGNUM_ASSIGN(const auto jobs, catalog_.ListJobs(after, kPage));
    for (const JobRecord& job : jobs) Count(job.id, job.state);
    if (jobs.size() < kPage) return {};
    after = jobs.back().id;
  }
}

size_t JobCounts::remembered() const {
  const std::lock_guard lock(mutex_);
  const std::lock_guard changed_lock(changed_mutex_);
  return open_.size() + ended_.size() + changed_.size();
}

Result<std::map<std::string, uint64_t>> JobCounts::Read() {
  const std::lock_guard lock(mutex_);
  std::unordered_set<std::string> changed;
  bool read_all = true;
  {
    const std::lock_guard changed_lock(changed_mutex_);
    changed.swap(changed_);
    read_all = std::exchange(read_all_, true);
  }
  if (!read_all) {
    const auto all = ReadAll();
    if (all.has_error()) {
      const std::lock_guard changed_lock(changed_mutex_);
      read_all_ = false;
      return all.error();
    }
  }
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
