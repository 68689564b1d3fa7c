#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "client/node/delta_cache.h"
#include "client/node/host_tier.h"
#include "client/node/live_memory.h"
#include "client/node/node_metrics.h"
#include "client/node/node_options.h"
#include "client/node/residency.h"
#include "client/node/targets.h"

namespace signum::client {

// Turns what is live of some tenants (their lists, then the watch feed) into wishes. Always those
// tenants that the operator names; beside them guests: a tenant that somebody asks for is followed,
// and its models fetched when they are asked for, if the registry shows it to the node's token. A
// guest that has not been used for long leaves, as does the longest unused one where there are too
// many. Thread-safe; two threads of the owner run Follow and AnswerAsks.
class Follower {
 public:
  struct Parts {
    Targets& targets;
    Residency& residency;
    HostTier& host;
    DeltaCache& cache;
    NodeMetrics& metrics;
  };
  // All outlive it. `on_answer`: called when an Ask that was on its way has its answer.
  Follower(const NodeOptions& options, Parts parts, std::function<void()> on_answer);

  // Before the threads: wishes for what was live last, so that a node starts without a registry.
  void Recall();
  void Follow(const std::stop_token& stop);
  void AnswerAsks(const std::stop_token& stop);

  // What was wanted can't be verified, so it may never have been live: the lists are read anew.
  void Doubt();

  // Somebody wants a model of this tenant that is not among the wishes. True: the list was read
  // just now, the model is not in it. False: the registry is being asked, on_answer will be called.
  // Errc::kNotFound unknown_model where the registry does not show the tenant to us; kUnavailable
  // registry_away, too_many_asks, guests_full (all places have tenants whose models are awaited).
  Result<bool> Ask(const std::string& tenant);
  // The tenant was used, now.
  void Touch(const std::string& tenant);

  struct State {
    std::vector<std::string> guests;
    bool known = false;  // the lists of all named tenants
    bool reachable = false;
    std::string error;  // of the registry's last call
    uint64_t seq = 0;   // of the feed
  };
  State state() const;
  bool Named(const std::string& tenant) const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Tenant {
    bool guest = false;
    bool known = false;                     // its list was read, or is remembered
    std::shared_ptr<const LiveState> list;  // as it was read last; null: not yet
    uint64_t applied = 0;  // the feed's number up to which changes are in the wishes
    Clock::time_point used;
  };
  struct Answer {
    Clock::time_point at;
    std::optional<Error> error;
  };

  // Whether the registry says no, rather than nothing.
  static bool Refused(const Error& error);
  std::stop_source BeginTurn();
  void EndTurn();
  Result<void> ReadLists(Registry& registry);
  Result<void> ReadList(Registry& registry, const std::string& tenant);
  Result<void> Watch(Registry& registry);
  Millis Step(Registry& registry, Backoff& backoff);
  void ApplyChanges(const WatchAnswer& answer);
  void ApplyChange(const Change& change, bool guest);
  Result<void> TakeList(const std::string& tenant, LiveState list, bool asked);
  Result<void> Admit(const std::string& tenant);
  void Drop(const std::string& guest);
  void DropIdle();
  Result<void> MakePlace();
  std::set<std::string> Awaited() const;
  std::chrono::seconds WatchWait() const;
  void Retire(const std::string& tenant, const std::string& model);
  void SyncWishes(const std::string& tenant, const LiveState& list, bool guest);
  Millis SpreadOf(const LiveModel& live) const;
  void Remember(const std::string& tenant);
  void NoteRegistry(const Result<void>& outcome);

  std::optional<std::string> NextAsk(const std::stop_token& stop);
  void Settle(const std::string& tenant, Result<LiveState> list);

  std::vector<std::string> Names() const;
  std::optional<Tenant> Find(const std::string& tenant) const;

  const NodeOptions& options_;
  const Parts parts_;
  const std::function<void()> on_answer_;
  const LiveMemory memory_;
  bool synced_ = false;  // the following thread's: the feed goes on from the lists that were read

  // Held while lists and changes become wishes, so that an older list never undoes a newer one;
  // taken before mutex_.
  std::mutex apply_mutex_;

  mutable std::mutex mutex_;
  std::map<std::string, Tenant> tenants_;
  std::stop_source
      turn_;  // of the following thread: it watches the tenants there were at its start
  std::atomic<bool> reachable_{false};
  std::atomic<bool> doubt_{false};
  std::string error_;
  uint64_t seq_ = 0;
  std::deque<std::string> asks_;  // the first is being answered
  std::condition_variable_any asks_wake_;
  std::map<std::string, Answer> answers_;
};

}  // namespace signum::client
