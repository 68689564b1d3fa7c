#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "client/live_model.h"
#include "client/retry.h"
#include "storage/base/digest.h"
#include "storage/base/result.h"

namespace signum::client {

// kStored: verified on disk, without a place in memory; it is loaded when somebody asks for it.
// kListed: as that, but not even fetched.
enum class TargetState { kWaiting, kLoading, kApplied, kRefused, kStored, kListed };
std::string_view TargetStateName(TargetState state);

// One model that the registry wants on this node, and how far that is.
struct TargetStatus {
  LiveModel want;
  TargetState state = TargetState::kWaiting;
  std::string reason, message;  // of the last failure, while it is not applied
  int failures = 0;
  bool gave_up = false;   // tried rarely from here on, until `want` changes
  uint64_t done = 0;      // bytes
  bool demanded = false;  // somebody waits for it: what nobody uses may be evicted for it
  bool staging = false;   // while it is loaded: on its way from the host to the device
};

inline constexpr Millis kRefusedRetry{900'000};

// What the node should hold: set by the follower from `live` and the watch feed, worked off by
// loader threads. A failed target is tried again with backoff: without end where the cause is
// passing (registry or disk away), a bounded number of times where the bytes are wrong, and then
// once in `refused_retry` to one and a half of it, for what stands between may be repaired without
// a word. A new wish starts the count anew. Thread-safe.
class Targets {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Targets(RetryPolicy policy, Millis refused_retry = kRefusedRetry)
      : policy_(policy), refused_retry_(refused_retry), random_(std::random_device{}()) {}

  // The whole live list of a tenant: wishes for models it does not name go. Returns the names of
  // those.
  //
  // `spread`: a wish that is new is due after a wait that is uniform in [0, spread]. All nodes of a
  // fleet hear of a change at once; so their fetches come one after another.
  // `lazy`: models that nobody has asked for yet are listed, not loaded.
  std::vector<std::string> Sync(const std::string& tenant, const std::vector<LiveModel>& live,
                                Millis spread = Millis{0}, bool lazy = false);
  void Want(const LiveModel& live, Millis spread = Millis{0}, bool lazy = false);
  // Returns whether it was wanted.
  bool Remove(const std::string& tenant, const std::string& model);

  // Waits for a target that is due and marks it as loading. nullopt once stopped.
  std::optional<LiveModel> Take(const std::stop_token& stop);
  void Progress(const LiveModel& live, uint64_t done, bool staging = false);
  // The loaded target is published by `publish` and counts as applied, unless the wish has changed
  // meanwhile: then `publish` is not called and false returned.
  bool Applied(const LiveModel& live, const std::function<void()>& publish);
  // `retry_after`: what the registry asked for; the next try is not before. Returns whether it is
  // given up.
  bool Failed(const LiveModel& live, const Error& error,
              std::optional<Millis> retry_after = std::nullopt);
  // It is verified on disk, but there is no room for it in memory, or no longer.
  void Stored(const LiveModel& live);
  // Somebody waits for the model: a stored or listed one is loaded, before others. Returns whether
  // it is wanted here.
  bool Demand(const std::string& tenant, const std::string& model);
  bool Demanded(const LiveModel& live) const;
  // No room, for all that is in memory is in use: tried again after `wait`, without end.
  void Postpone(const LiveModel& live, Millis wait);

  std::vector<TargetStatus> Snapshot() const;
  std::optional<TargetStatus> Find(const std::string& tenant, const std::string& model) const;
  // When the next try of a target begins at the earliest.
  std::optional<Clock::time_point> Due(const std::string& tenant, const std::string& model) const;
  std::vector<LiveModel> Wanted(const std::string& tenant) const;
  std::set<Digest> WantedDigests() const;  // of deltas and manifests
  // Calls back after each change of state, on the changing thread, with nothing locked.
  void OnChange(std::function<void()> callback) { on_change_ = std::move(callback); }

 private:
  using Key = std::pair<std::string, std::string>;
  struct Target {
    TargetStatus status;
    Backoff backoff;
    Clock::time_point due{};
  };
  void WantLocked(const LiveModel& live, Millis spread, bool lazy);
  bool BusyLocked(const LiveModel& live) const;
  bool DemandLocked() const;
  Millis RareWait();
  // The target of the same model, or nullptr.
  Target* FindLocked(const LiveModel& live);
  void Changed();

  const RetryPolicy policy_;
  const Millis refused_retry_;
  std::mt19937_64 random_;
  std::function<void()> on_change_;
  mutable std::mutex mutex_;
  std::condition_variable_any wake_;
  std::map<Key, Target> targets_;
  // What loader threads are at, perhaps for an older wish. No model and no digest twice: tenants
  // may share a delta, and its file is written by one.
  std::map<Key, Digest> loading_;
  uint64_t changes_ = 0;  // what a waiting Take looks at
};

}  // namespace signum::client
