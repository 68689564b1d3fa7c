#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "storage/catalog.h"

namespace signum {

// How many jobs there are of each state, kept up to date from the catalog's notices: a scrape reads
// the jobs that changed since the last one, not all that ever ran. What it remembers is bounded,
// however many ran and whether anybody scrapes. Thread-safe.
class JobCounts {
 public:
  explicit JobCounts(Catalog& catalog);
  JobCounts(const JobCounts&) = delete;
  JobCounts& operator=(const JobCounts&) = delete;

  Result<std::map<std::string, uint64_t>> Read();  // state name → count, every state listed

  size_t remembered() const;  // ids

 private:
  Result<void> ReadAll();
  void Count(const std::string& id, std::optional<JobState> state);
  void CountEnded(const std::string& id, JobState state);

  Catalog& catalog_;
  mutable std::mutex mutex_;  // of all below
  std::unordered_map<std::string, JobState> open_;
  // Of those that ended, the last ones: a notice may come twice, but not much later.
  std::unordered_set<std::string> ended_;
  std::deque<std::string> ended_order_;
  std::array<uint64_t, 5> counts_{};
  // Apart from mutex_: a notice comes on a committing thread and must not wait for a reader.
  mutable std::mutex changed_mutex_;
  std::unordered_set<std::string> changed_;
  bool read_all_ = false;        // else the next read reads all there are, and notices are not kept
  std::shared_ptr<void> watch_;  // last: no notice may come to a half-destroyed object
};

}  // namespace signum
