#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "client/live_model.h"
#include "client/node/residency.h"

namespace signum::client {

// Verified deltas in the host's memory of a node whose models are used in a device's: what was
// evicted there comes back with one copy, without disk or network. It has no memory of its own: it
// refers to what loads have brought there, until the room is needed for other loads. Thread-safe.
class HostTier {
 public:
  using OnDevice = std::function<bool(const LiveModel&)>;

  // The loaded generation, before it is made ready to answer.
  void Keep(const Generation& loaded);
  // What was kept of exactly this generation, which counts as used.
  std::optional<Generation> Find(const LiveModel& live);
  // It left the device, and counts as used.
  void Touch(const LiveModel& live);
  void Drop(const LiveModel& live);
  // Every generation of a model that is not wanted here any more.
  void Forget(const std::string& tenant, const std::string& model);
  // Forgets one: of those that are on the device, or else of all, what was used the longest ago.
  // False where there is none. Its memory is free when no load is at it.
  bool Evict(const OnDevice& on_device);

  bool Holds(const LiveModel& live) const;
  std::vector<LiveModel> Snapshot() const;

 private:
  struct Copy {
    Generation generation;
    uint64_t used = 0;
  };
  Copy* FindLocked(const LiveModel& live);

  mutable std::mutex mutex_;
  std::vector<Copy> copies_;
  uint64_t clock_ = 0;
};

}  // namespace signum::client
