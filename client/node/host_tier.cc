#include "client/node/host_tier.h"

#include <algorithm>
#include <utility>

namespace signum::client {

HostTier::Copy* HostTier::FindLocked(const LiveModel& live) {
  const auto found = std::find_if(copies_.begin(), copies_.end(), [&](const Copy& copy) {
    return SameGeneration(copy.generation.live, live);
  });
  return found == copies_.end() ? nullptr : &*found;
}

void HostTier::Keep(const Generation& loaded) {
  const std::lock_guard lock(mutex_);
  if (FindLocked(loaded.live) == nullptr) copies_.push_back({loaded, ++clock_});
}

std::optional<Generation> HostTier::Find(const LiveModel& live) {
  const std::lock_guard lock(mutex_);
  Copy* copy = FindLocked(live);
  if (copy == nullptr) return std::nullopt;
  copy->used = ++clock_;
  return copy->generation;
}

void HostTier::Touch(const LiveModel& live) {
  const std::lock_guard lock(mutex_);
  if (Copy* copy = FindLocked(live)) copy->used = ++clock_;
}

void HostTier::Drop(const LiveModel& live) {
  const std::lock_guard lock(mutex_);
  std::erase_if(copies_,
                [&](const Copy& copy) { return SameGeneration(copy.generation.live, live); });
}

void HostTier::Forget(const std::string& tenant, const std::string& model) {
  const std::lock_guard lock(mutex_);
  std::erase_if(copies_, [&](const Copy& copy) {
    return copy.generation.live.tenant == tenant && copy.generation.live.model == model;
  });
}

bool HostTier::Evict(const OnDevice& on_device) {
  Copy gone;  // unmapped without the lock
  const std::lock_guard lock(mutex_);
  const auto age = [&](const Copy& copy) {
    return std::pair(!on_device(copy.generation.live), copy.used);
  };
  const auto oldest =
      std::min_element(copies_.begin(), copies_.end(),
                       [&](const Copy& a, const Copy& b) { return age(a) < age(b); });
  if (oldest == copies_.end()) return false;
  gone = std::move(*oldest);
  copies_.erase(oldest);
  return true;
}

bool HostTier::Holds(const LiveModel& live) const {
  const std::lock_guard lock(mutex_);
  return std::any_of(copies_.begin(), copies_.end(),
                     [&](const Copy& copy) { return SameGeneration(copy.generation.live, live); });
}

std::vector<LiveModel> HostTier::Snapshot() const {
  const std::lock_guard lock(mutex_);
  std::vector<LiveModel> out;
  for (const Copy& copy : copies_) out.push_back(copy.generation.live);
  return out;
}

}  // namespace signum::client
