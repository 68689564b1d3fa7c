#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
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
  std::string registry_url, token, ca_file;
  std::vector<std::string> tenants;
  std::string device = "cpu";
  uint64_t memory_bytes = 0;
  std::filesystem::path cache_directory;
  uint64_t cache_bytes = 0;  // 0: no bound
  std::string trust_key;     // base64; empty: the registry's keys, pinned on first use
  int loaders = 2;           // deltas fetched at the same time
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

  void ReportLoop(const std::stop_token& stop);
  nlohmann::json Report() const;
  void RequestReport();

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

  std::mutex report_mutex_;
  std::condition_variable_any report_wake_;
  bool report_wanted_ = false;

  std::vector<std::jthread> threads_;  // last: they use everything above
};

}  // namespace signum::client
