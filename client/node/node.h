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
#include "client/node/follower.h"
#include "client/node/host_tier.h"
#include "client/node/loader.h"
#include "client/node/node_metrics.h"
#include "client/node/node_options.h"
#include "client/node/residency.h"
#include "client/node/targets.h"
#include "client/node/trust.h"
#include "client/registry.h"
#include "storage/base/result.h"

namespace signum::client {

// An inference node's delta side: follows the registry for its tenants, keeps their live deltas
// verified in memory, swaps generations under leases and reports what it runs. Owns its threads:
// one follows the feed, one asks for unknown tenants, some load, one reports.
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

  // A lease of a model, or nothing while it is on its way here, or while the registry is being
  // asked for it. Errc::kNotFound unknown_model; kUnavailable model_refused with the reason why it
  // can't be loaded, registry_away where it is not known and nobody can be asked.
  Result<std::optional<Lease>> Find(const std::string& tenant, const std::string& model);
  // Loads a model that is stored, if any, before somebody asks for it. Errc::kNotFound.
  Result<void> Prefetch(const std::string& tenant, const std::string& model);
  // `wake` is called, on any thread, when some model's state has changed, until the handle goes.
  std::shared_ptr<void> Subscribe(std::function<void()> wake);

  // The documents are in node_documents.cc.
  nlohmann::json ResidencyDocument() const;  // GET /v1/residency
  nlohmann::json ModelsDocument() const;     // GET /v1/models
  std::string MetricsText();
  // Empty once every live model that was known first is applied or refused; else what is missing.
  std::string NotReadyBecause() const;

 private:
  explicit Node(NodeOptions options);

  void LoadLoop(const std::stop_token& stop);
  void LoadOne(Registry& registry, const LiveModel& live);
  bool StillHere(const LiveModel& live);
  Result<Generation> Load(Registry& registry, const LiveModel& live, LoadReport& report);
  Result<Generation> Obtain(Registry& registry, const LiveModel& live,
                            const Loader::Progress& progress, LoadReport& report);
  bool MakeRoom(const LiveModel& live);
  bool MakeHostRoom(const LiveModel& live);
  bool has_device() const { return options_.device_budget != nullptr; }
  // Of the memory that models are used in.
  const MemoryBudget& places() const { return has_device() ? *options_.device_budget : *budget_; }
  void NotLoaded(const LiveModel& live, const Error& error, std::optional<Millis> retry_after);

  void ReportLoop(const std::stop_token& stop);
  nlohmann::json Report() const;
  std::string_view PendingState(const TargetStatus& target) const;
  nlohmann::json HostDocument() const;
  void RequestReport();
  void WakeWaiters();

  const NodeOptions options_;
  const std::shared_ptr<MemoryBudget> budget_;  // of the host
  std::unique_ptr<DeltaCache> cache_;
  std::unique_ptr<Trust> trust_;
  std::unique_ptr<Loader> loader_;
  Residency residency_;
  HostTier host_;  // empty where there is no device
  Targets targets_;
  NodeMetrics metrics_;
  std::unique_ptr<Follower> follower_;

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
