#include "client/node/targets.h"

#include <algorithm>

namespace signum::client {

std::string_view TargetStateName(TargetState state) {
  switch (state) {
    case TargetState::kWaiting:
      return "waiting";
    case TargetState::kLoading:
      return "downloading";
    case TargetState::kApplied:
      return "applied";
    case TargetState::kRefused:
      return "refused";
    case TargetState::kStored:
      return "stored";
    case TargetState::kListed:
      return "listed";
  }
  return "?";
}

namespace {

// Whether two wishes are for the same bytes under the same version: URLs may differ.
bool SameWish(const LiveModel& a, const LiveModel& b) {
  return a.version == b.version && a.digest == b.digest && a.manifest_digest == b.manifest_digest;
}

// Failures that may pass without anybody changing the bytes.
bool MayPass(const Error& error) {
  return error.code == Errc::kUnavailable || error.code == Errc::kExhausted ||
         error.code == Errc::kInternal || error.code == Errc::kUnauthorized ||
         error.code == Errc::kDenied;
}

}  // namespace

void Targets::WantLocked(const LiveModel& live, Millis spread, bool lazy) {
  const Key key{live.tenant, live.model};
  const auto found = targets_.find(key);
  if (found != targets_.end() && SameWish(found->second.status.want, live)) {
    found->second.status.want = live;
    return;
  }
  Target target{{}, Backoff(policy_), {}};
  target.status.want = live;
  const bool unasked =
      found == targets_.end() || found->second.status.state == TargetState::kListed;
  if (lazy && unasked) target.status.state = TargetState::kListed;
  if (spread > Millis{0}) {
    std::uniform_int_distribution<int64_t> jitter(0, spread.count());
    target.due = Clock::now() + Millis{jitter(random_)};
  }
  targets_.insert_or_assign(key, std::move(target));
}

std::vector<std::string> Targets::Sync(const std::string& tenant,
                                       const std::vector<LiveModel>& live, Millis spread,
                                       bool lazy) {
  std::set<std::string_view> named;
  for (const LiveModel& model : live) named.insert(model.model);
  std::vector<std::string> removed;
  {
    const std::lock_guard lock(mutex_);
    for (auto it = targets_.begin(); it != targets_.end();) {
      const auto& [owner, model] = it->first;
      const bool gone = owner == tenant && !named.contains(model);
      if (gone) removed.push_back(model);
      it = gone ? targets_.erase(it) : std::next(it);
    }
    for (const LiveModel& model : live) WantLocked(model, spread, lazy);
  }
  Changed();
  return removed;
}

void Targets::Want(const LiveModel& live, Millis spread, bool lazy) {
  {
    const std::lock_guard lock(mutex_);
    WantLocked(live, spread, lazy);
  }
  Changed();
}

bool Targets::Remove(const std::string& tenant, const std::string& model) {
  bool removed = false;
  {
    const std::lock_guard lock(mutex_);
    removed = targets_.erase({tenant, model}) > 0;
  }
  Changed();
  return removed;
}

bool Targets::BusyLocked(const LiveModel& live) const {
  return std::any_of(loading_.begin(), loading_.end(), [&](const auto& entry) {
    return entry.first == Key{live.tenant, live.model} || entry.second == live.digest;
  });
}

std::optional<LiveModel> Targets::Take(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    Clock::time_point next = Clock::now() + std::chrono::seconds{3600};
    const bool demand = DemandLocked();
    for (auto& [key, target] : targets_) {
      const TargetState state = target.status.state;
      const bool open = state == TargetState::kWaiting || state == TargetState::kRefused;
      if (!open || BusyLocked(target.status.want)) continue;
      const bool first = target.status.demanded || !demand;
      if (target.due <= Clock::now() && !first) continue;
      if (target.due <= Clock::now()) {
        loading_[key] = target.status.want.digest;
        target.status.state = TargetState::kLoading;
        return target.status.want;
      }
      next = std::min(next, target.due);
    }
    wake_.wait_until(lock, stop, next, [&, seen = changes_] { return changes_ != seen; });
  }
  return std::nullopt;
}

// Spread, because all nodes of a fleet gave up at the same time.
Millis Targets::RareWait() {
  std::uniform_int_distribution<int64_t> jitter(0, refused_retry_.count() / 2);
  return refused_retry_ + Millis{jitter(random_)};
}

Targets::Target* Targets::FindLocked(const LiveModel& live) {
  const auto found = targets_.find({live.tenant, live.model});
  if (found == targets_.end()) return nullptr;
  return &found->second;
}

void Targets::Progress(const LiveModel& live, uint64_t done, bool staging) {
  const std::lock_guard lock(mutex_);
  Target* target = FindLocked(live);
  if (target == nullptr || !SameWish(target->status.want, live)) return;
  target->status.done = done;
  target->status.staging = staging;
}

bool Targets::Applied(const LiveModel& live, const std::function<void()>& publish) {
  bool current = false;
  {
    const std::lock_guard lock(mutex_);
    loading_.erase({live.tenant, live.model});
    Target* target = FindLocked(live);
    current = target != nullptr && SameWish(target->status.want, live);
    if (current) {
      publish();
      target->status = {
          target->status.want, TargetState::kApplied, {}, {}, 0, false, live.size, false, false};
    }
  }
  Changed();
  return current;
}

bool Targets::Failed(const LiveModel& live, const Error& error, std::optional<Millis> retry_after) {
  bool gave_up = false;
  {
    const std::lock_guard lock(mutex_);
    loading_.erase({live.tenant, live.model});
    Target* target = FindLocked(live);
    if (target != nullptr && SameWish(target->status.want, live)) {
      TargetStatus& status = target->status;
      status.state = TargetState::kRefused;
      status.reason = error.reason;
      status.message = error.message;
      ++status.failures;
      std::optional<Millis> wait = target->backoff.Next(retry_after);
      if (!wait && MayPass(error)) {
        wait = std::max(policy_.cap, std::min(retry_after.value_or(Millis{0}), kMaxRetryAfter));
      }
      status.gave_up = gave_up = !wait;
      target->due = Clock::now() + wait.value_or(RareWait());
    }
  }
  Changed();
  return gave_up;
}

void Targets::Stored(const LiveModel& live) {
  {
    const std::lock_guard lock(mutex_);
    Target* target = FindLocked(live);
    if (target != nullptr && SameWish(target->status.want, live)) {
      const bool asked = target->status.demanded;
      target->status = {
          target->status.want, TargetState::kStored, {}, {}, 0, false, live.size, false, false};
      // Asked for while it was being stored.
      if (asked) target->status.state = TargetState::kWaiting;
      target->status.demanded = asked;
    }
    // Not where another version of the model is being loaded while this one was evicted.
    const auto loading = loading_.find({live.tenant, live.model});
    if (loading != loading_.end() && loading->second == live.digest) loading_.erase(loading);
  }
  Changed();
}

bool Targets::Demand(const std::string& tenant, const std::string& model) {
  bool changed = false;
  {
    const std::lock_guard lock(mutex_);
    const auto found = targets_.find({tenant, model});
    if (found == targets_.end()) return false;
    Target& target = found->second;
    changed = !target.status.demanded && target.status.state != TargetState::kApplied;
    if (changed) target.status.demanded = true;
    const bool unloaded =
        target.status.state == TargetState::kStored || target.status.state == TargetState::kListed;
    if (unloaded) {
      target.status.state = TargetState::kWaiting;
      target.due = Clock::now();
      changed = true;
    }
  }
  if (changed) Changed();
  return true;
}

bool Targets::Demanded(const LiveModel& live) const {
  const std::lock_guard lock(mutex_);
  const auto found = targets_.find({live.tenant, live.model});
  return found != targets_.end() && found->second.status.demanded;
}

void Targets::Postpone(const LiveModel& live, Millis wait) {
  {
    const std::lock_guard lock(mutex_);
    loading_.erase({live.tenant, live.model});
    Target* target = FindLocked(live);
    if (target != nullptr && SameWish(target->status.want, live)) {
      target->status.state = TargetState::kWaiting;
      target->due = Clock::now() + wait;
    }
  }
  Changed();
}

// Whether one that somebody waits for could be loaded now.
bool Targets::DemandLocked() const {
  return std::any_of(targets_.begin(), targets_.end(), [&](const auto& entry) {
    const Target& target = entry.second;
    return target.status.demanded && target.status.state == TargetState::kWaiting &&
           target.due <= Clock::now() && !BusyLocked(target.status.want);
  });
}

std::vector<TargetStatus> Targets::Snapshot() const {
  const std::lock_guard lock(mutex_);
  std::vector<TargetStatus> out;
  for (const auto& [key, target] : targets_) out.push_back(target.status);
  return out;
}

std::optional<TargetStatus> Targets::Find(const std::string& tenant,
                                          const std::string& model) const {
  const std::lock_guard lock(mutex_);
  const auto found = targets_.find({tenant, model});
  if (found == targets_.end()) return std::nullopt;
  return found->second.status;
}

std::optional<Targets::Clock::time_point> Targets::Due(const std::string& tenant,
                                                       const std::string& model) const {
  const std::lock_guard lock(mutex_);
  const auto found = targets_.find({tenant, model});
  if (found == targets_.end()) return std::nullopt;
  return found->second.due;
}

std::vector<LiveModel> Targets::Wanted(const std::string& tenant) const {
  const std::lock_guard lock(mutex_);
  std::vector<LiveModel> out;
  for (const auto& [key, target] : targets_) {
    if (key.first == tenant) out.push_back(target.status.want);
  }
  return out;
}

std::set<Digest> Targets::WantedDigests() const {
  const std::lock_guard lock(mutex_);
  std::set<Digest> out;
  for (const auto& [key, target] : targets_) {
    out.insert(target.status.want.digest);
    out.insert(target.status.want.manifest_digest);
  }
  return out;
}

void Targets::Changed() {
  {
    const std::lock_guard lock(mutex_);
    ++changes_;
  }
  wake_.notify_all();
  if (on_change_) on_change_();
}

}  // namespace signum::client
