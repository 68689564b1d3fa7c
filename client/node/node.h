#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "client/node/arena.h"
#include "client/node/delta_cache.h"
#include "client/node/live_memory.h"
#include "client/node/loader.h"
#include "client/node/node_metrics.h"
#include "client/node/residency.h"
#include "client/node/targets.h"
#include "client/node/trust.h"
#include "client/registry.h"
#include "storage/base/result.h"

namespace signum::client {

struct NodeOptions {
  std::string name;
  std::string registry_url, token;
  ClientTls tls;
  std::vector<std::string> tenants;
  std::string device = "cpu";
  uint64_t memory_bytes = 0;
  // Above 0: memory is divided into this many places and one more, where a new generation is loaded
  // beside those in use and a replaced one waits to be gone back to. Models beyond them are loaded
  // from the cache when somebody asks. 0: places as large as deltas are, as many as fit.
  uint64_t slots = 0;
  std::vector<std::string> pinned;  // tenant/model: never evicted
  std::filesystem::path cache_directory;
  uint64_t cache_bytes = 0;  // 0: no bound
  std::string trust_key;     // base64; empty: the registry's keys, pinned on first use
  int loaders = 2;           // deltas fetched at the same time
  // Called by the thread that has loaded a generation, before it is published: makes it ready to
  // answer requests. An error counts as the load's.
  std::function<Result<void>(Registry&, Generation&)> prepare;
  // After a change of what is live, the fetch begins at a moment that is uniform in this window, so
  // that a fleet does not ask for the same bytes at once. What is here already waits for nothing.
  std::chrono::milliseconds fetch_window{0};
  std::chrono::seconds watch_wait{50};
  std::chrono::milliseconds report_interval{15'000};
  RetryPolicy load_retry{Millis{500}, Millis{30'000}, 5};   // of a delta that is refused
  RetryPolicy call_retry{Millis{200}, Millis{5'000}, 6};    // of one call of the registry
  RetryPolicy watch_retry{Millis{200}, Millis{10'000}, 0};  // of the feed, without end
};

// An inference node's delta side: follows the registry for its tenants, keeps their live deltas
// verified in memory, swaps generations under leases and reports what it runs. Owns its threads:
// one follows the feed, some load, one reports.
class Node {
 public:
  // Opens the cache and starts. Works without a registry: what was live last is loaded from the
  // cache.
  static Result<std::unique_ptr<Node>> Start(NodeOptions options);
  ~Node();  // stops
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // Ends every call and thread. Idempotent.
  void Stop();

  const Residency& residency() const { return residency_; }
  const NodeOptions& options() const { return options_; }

  // A lease of a model, or nothing while it is on its way here. Errc::kNotFound unknown_model;
  // kUnavailable model_refused with the reason why it can't be loaded.
  Result<std::optional<Lease>> Find(const std::string& tenant, const std::string& model);
  // Loads a model that is stored, if any, before somebody asks for it. Errc::kNotFound.
  Result<void> Prefetch(const std::string& tenant, const std::string& model);
  // `wake` is called, on any thread, when some model's state has changed, until the handle goes.
  std::shared_ptr<void> Subscribe(std::function<void()> wake);

  nlohmann::json ResidencyDocument() const;  // GET /v1/residency
  nlohmann::json ModelsDocument() const;     // GET /v1/models
  std::string MetricsText();
  // Empty once every live model that was known first is applied or refused; else what is missing.
  std::string NotReadyBecause() const;

 private:
  explicit Node(NodeOptions options);

  void RecallLive();
  void Follow(const std::stop_token& stop);
  Result<uint64_t> ReadLive(Registry& registry);
  void ApplyChanges(const WatchAnswer& answer);
  Millis SpreadOf(const LiveModel& live) const;
  void Remember(const std::string& tenant);
  void NoteRegistry(const Result<void>& outcome);

  void LoadLoop(const std::stop_token& stop);
  void LoadOne(Registry& registry, const LiveModel& live);
  bool MakeRoom(const LiveModel& live);
  void NotLoaded(const LiveModel& live, const Error& error, std::optional<Millis> retry_after);

  void ReportLoop(const std::stop_token& stop);
  nlohmann::json Report() const;
  void RequestReport();
  void WakeWaiters();

  std::unique_ptr<Registry> NewRegistry(const RetryPolicy& retry,
                                        const std::stop_token& stop) const;

  const NodeOptions options_;
  std::shared_ptr<MemoryBudget> budget_;
  std::unique_ptr<DeltaCache> cache_;
  std::unique_ptr<Trust> trust_;
  std::unique_ptr<Loader> loader_;
  LiveMemory memory_;
  Residency residency_;
  Targets targets_;
  NodeMetrics metrics_;

  std::atomic<bool> live_known_{false};
  std::atomic<bool> registry_up_{false};
  std::atomic<uint64_t> seq_{0};
  std::map<std::string, LiveState> live_seen_;  // by tenant; the follower's alone
  mutable std::mutex error_mutex_;
  std::string registry_error_;

  // Who waits for a model's state to change; outlived by their handles.
  struct Waiters {
    std::mutex mutex;
    uint64_t next = 0;
    std::map<uint64_t, std::function<void()>> wakes;
  };
  const std::shared_ptr<Waiters> waiters_ = std::make_shared<Waiters>();

  std::mutex report_mutex_;
  std::condition_variable_any report_wake_;
  bool report_wanted_ = false;

  std::vector<std::jthread> threads_;  // last: they use everything above
};

}  // namespace signum::client
