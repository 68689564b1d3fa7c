#include "client/node/node.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "storage/base/clock.h"
#include "storage/base/name.h"

namespace signum::client {

using nlohmann::json;

Node::Node(NodeOptions options)
    : options_(std::move(options)),
      budget_(std::make_shared<MemoryBudget>(options_.memory_bytes,
                                             options_.slots > 0 ? options_.slots + 1 : 0)),
      memory_(options_.cache_directory / "live"),
      residency_(options_.slots > 0),
      targets_(options_.load_retry) {
  for (const std::string& name : options_.pinned) {
    const size_t slash = name.find('/');
    if (slash != name.npos) residency_.Pin(name.substr(0, slash), name.substr(slash + 1));
  }
  targets_.OnChange([this] {
    RequestReport();
    WakeWaiters();
  });
}

Result<std::unique_ptr<Node>> Node::Start(NodeOptions options) {
  std::unique_ptr<Node> node(new Node(std::move(options)));
  const NodeOptions& chosen = node->options_;
  SIGNUM_ASSIGN(node->cache_, DeltaCache::Open(chosen.cache_directory, chosen.cache_bytes));
  SIGNUM_ASSIGN(node->trust_,
                Trust::Open(chosen.trust_key, chosen.cache_directory / "trusted.keys"));
  node->loader_ = std::make_unique<Loader>(*node->cache_, node->budget_, *node->trust_);
  node->RecallLive();
  Node* self = node.get();
  for (int i = 0; i < chosen.loaders; ++i) {
    node->threads_.emplace_back([self](const std::stop_token& stop) { self->LoadLoop(stop); });
  }
  node->threads_.emplace_back([self](const std::stop_token& stop) { self->Follow(stop); });
  node->threads_.emplace_back([self](const std::stop_token& stop) { self->ReportLoop(stop); });
  return node;
}

Node::~Node() { Stop(); }

void Node::Stop() {
  for (std::jthread& thread : threads_) thread.request_stop();
  threads_.clear();
}

std::unique_ptr<Registry> Node::NewRegistry(const RetryPolicy& retry,
                                            const std::stop_token& stop) const {
  RegistryOptions options;
  options.url = options_.registry_url;
  options.token = options_.token;
  options.tls = options_.tls;
  options.retry = retry;
  options.patience = retry;
  options.stop = stop;
  return std::make_unique<Registry>(std::move(options));
}

// ---- following

void Node::RecallLive() {
  bool all = true;
  for (const std::string& tenant : options_.tenants) {
    const auto live = memory_.Recall(tenant);
    all = all && live.has_value();
    if (live) {
      targets_.Sync(tenant, *live);
    } else if (live.error().code != Errc::kNotFound) {
      spdlog::warn("{}", live.error().message);
    }
  }
  live_known_ = all;
}

// Reads `live` of every tenant; the feed goes on from the oldest of their places.
Result<uint64_t> Node::ReadLive(Registry& registry) {
  uint64_t since = UINT64_MAX;
  for (const std::string& tenant : options_.tenants) {
    LiveState& seen = live_seen_[tenant];
    SIGNUM_ASSIGN(seen, registry.Live(tenant, &seen));
    since = std::min(since, seen.seq);
    // A node that starts wants to serve: only what changes under a running one is spread.
    const Millis spread = live_known_ ? options_.fetch_window : Millis{0};
    for (const std::string& model : targets_.Sync(tenant, seen.models, spread)) {
      if (residency_.Retire(tenant, model)) spdlog::info("{}/{}: retired", tenant, model);
    }
    Remember(tenant);
  }
  live_known_ = true;
  return since;
}

// How long the fetch may wait: not at all where there is nothing to fetch.
Millis Node::SpreadOf(const LiveModel& live) const {
  std::error_code ignored;
  const bool here =
      residency_.Holds(live) || std::filesystem::exists(cache_->DeltaPath(live.digest), ignored);
  return here ? Millis{0} : options_.fetch_window;
}

void Node::ApplyChanges(const WatchAnswer& answer) {
  std::set<std::string> tenants;
  for (const Change& change : answer.changes) {
    const LiveModel& model = change.model;
    tenants.insert(model.tenant);
    if (change.removed) {
      targets_.Remove(model.tenant, model.model);
      if (residency_.Retire(model.tenant, model.model)) spdlog::info("{}: retired", model.Name());
    } else {
      spdlog::info("{}: live is now {}", model.Name(), model.version);
      targets_.Want(model, SpreadOf(model));
    }
  }
  for (const std::string& tenant : tenants) Remember(tenant);
  if (!tenants.empty()) RequestReport();
}

void Node::Remember(const std::string& tenant) {
  const Result<void> done = memory_.Remember(tenant, targets_.Wanted(tenant));
  if (!done) spdlog::warn("cannot remember what is live: {}", done.error().message);
}

// Logs the first of a row of equal failures, and that they are over.
void Node::NoteRegistry(const Result<void>& outcome) {
  const std::string message = outcome ? "" : outcome.error().message;
  if (!outcome) metrics_.RegistryFailed(outcome.error().reason);
  if (outcome && !registry_up_) spdlog::info("registry: following {}", options_.registry_url);
  registry_up_ = outcome.has_value();
  const std::lock_guard lock(error_mutex_);
  if (!outcome && message != registry_error_) spdlog::warn("registry: {}", message);
  registry_error_ = message;
}

void Node::Follow(const std::stop_token& stop) {
  const std::unique_ptr<Registry> registry = NewRegistry({Millis{0}, Millis{0}, 1}, stop);
  Backoff backoff(options_.watch_retry);
  bool synced = false;
  while (!stop.stop_requested()) {
    Result<void> outcome;
    if (!synced) {
      const Result<uint64_t> since = ReadLive(*registry);
      synced = since.has_value();
      if (since) seq_ = *since;
      if (!since) outcome = since.error();
    } else {
      const Result<WatchAnswer> answer =
          registry->Watch(options_.tenants, seq_, options_.watch_wait);
      if (answer) {
        ApplyChanges(*answer);
        seq_ = answer->seq;
      } else {
        outcome = answer.error();
        // The feed no longer reaches back to our place (or the registry is another one now).
        if (answer.error().code == Errc::kNotFound) synced = false;
      }
    }
    if (stop.stop_requested()) return;
    NoteRegistry(outcome);
    if (outcome) {
      backoff.Reset();
    } else if (!SleepFor(backoff.Next(registry->retry_after()).value_or(options_.watch_retry.cap),
                         stop)) {
      return;
    }
  }
}

// ---- loading

void Node::LoadLoop(const std::stop_token& stop) {
  const std::unique_ptr<Registry> registry = NewRegistry(options_.call_retry, stop);
  while (const std::optional<LiveModel> live = targets_.Take(stop)) {
    LoadOne(*registry, *live);
    cache_->Trim(targets_.WantedDigests());
  }
}

void Node::LoadOne(Registry& registry, const LiveModel& live) {
  // Rolled back to what is still here: nothing to load.
  if (residency_.Holds(live)) {
    targets_.Applied(live, [] {});
    return;
  }
  bool revived = false;
  if (residency_.HoldsKept(live)) {
    targets_.Applied(live, [&] { revived = residency_.Revive(live); });
    if (revived) spdlog::info("{}@{}: back, it was still here", live.Name(), live.version);
    if (revived) return;
  }
  const auto begin = std::chrono::steady_clock::now();
  LoadReport report;
  Result<Generation> loaded = loader_->Load(
      registry, live, [&](GenerationState, uint64_t done) { targets_.Progress(live, done); },
      [&] { return MakeRoom(live); }, report);
  metrics_.Downloaded(report.bytes_downloaded);
  if (loaded && options_.prepare) {
    if (const Result<void> ready = options_.prepare(registry, *loaded); !ready) {
      loaded = ready.error();
    }
  }
  if (!loaded) {
    if (loaded.error().code != Errc::kCancelled) {
      NotLoaded(live, loaded.error(), registry.retry_after());
    }
    return;
  }
  const bool current = targets_.Applied(live, [&] { residency_.Publish(std::move(*loaded)); });
  if (!current) return;
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  metrics_.Loaded(report.from_cache, took.count());
  spdlog::info("{}@{}: published, {} bytes from {} in {:.3f} s", live.Name(), live.version,
               live.size, report.from_cache ? "the cache" : "the registry", took.count());
}

// Nobody's place is taken for a model that nobody has asked for; a model in use gets its new
// generation, and one that is asked for its place, from what has not been used for longest.
bool Node::MakeRoom(const LiveModel& live) {
  const bool wanted = targets_.Demanded(live) || residency_.Serves(live.tenant, live.model);
  const auto evicted = residency_.Evict(wanted ? EvictFrom::kAll : EvictFrom::kKept, live);
  if (!evicted) return false;
  if (evicted->published) {
    spdlog::info("{}: evicted for {}", evicted->live.Name(), live.Name());
    targets_.Stored(evicted->live);
  }
  return true;
}

void Node::NotLoaded(const LiveModel& live, const Error& error, std::optional<Millis> retry_after) {
  const bool no_room =
      (error.reason == "memory_budget" || error.reason == "slots_full") && budget_->Fits(live.size);
  const bool swap = residency_.Serves(live.tenant, live.model);
  if (no_room && targets_.Demanded(live)) return targets_.Postpone(live, Millis{20});
  if (no_room && !swap) return targets_.Stored(live);
  metrics_.Refused(error.reason);
  spdlog::warn("{}@{}: refused: {} ({})", live.Name(), live.version, error.message, error.reason);
  targets_.Failed(live, error, retry_after);
}

// ---- requests

Result<std::optional<Lease>> Node::Find(const std::string& tenant, const std::string& model) {
  if (Result<Lease> lease = residency_.Acquire(tenant, model)) {
    return std::optional<Lease>(*std::move(lease));
  }
  for (const TargetStatus& target : targets_.Snapshot()) {
    if (target.want.tenant != tenant || target.want.model != model) continue;
    targets_.Demand(tenant, model);
    if (target.state != TargetState::kRefused) return std::optional<Lease>();
    return Fail(Errc::kUnavailable, "model_refused",
                target.want.Name() + " can't be loaded: " + target.message);
  }
  return Fail(Errc::kNotFound, "unknown_model",
              "no model '" + Printable(tenant + "/" + model) + "' is served here");
}

Result<void> Node::Prefetch(const std::string& tenant, const std::string& model) {
  if (residency_.Serves(tenant, model) || targets_.Demand(tenant, model)) return {};
  return Fail(Errc::kNotFound, "unknown_model",
              "no model '" + Printable(tenant + "/" + model) + "' is served here");
}

std::shared_ptr<void> Node::Subscribe(std::function<void()> wake) {
  const std::lock_guard lock(waiters_->mutex);
  const uint64_t id = waiters_->next++;
  waiters_->wakes.emplace(id, std::move(wake));
  return {nullptr, [waiters = waiters_, id](void*) {
            const std::lock_guard in(waiters->mutex);
            waiters->wakes.erase(id);
          }};
}

void Node::WakeWaiters() {
  const std::lock_guard lock(waiters_->mutex);
  for (const auto& [id, wake] : waiters_->wakes) wake();
}

// ---- reporting

void Node::RequestReport() {
  {
    const std::lock_guard lock(report_mutex_);
    report_wanted_ = true;
  }
  report_wake_.notify_all();
}

void Node::ReportLoop(const std::stop_token& stop) {
  const std::unique_ptr<Registry> registry = NewRegistry({Millis{0}, Millis{0}, 1}, stop);
  Backoff backoff(options_.watch_retry);
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(report_mutex_);
      report_wake_.wait_for(lock, stop, options_.report_interval,
                            [this] { return report_wanted_; });
      report_wanted_ = false;
    }
    if (stop.stop_requested()) return;
    const Result<void> sent = registry->PutNode(options_.name, Report());
    metrics_.Reported(sent.has_value());
    if (sent) {
      backoff.Reset();
      continue;
    }
    spdlog::debug("report: {}", sent.error().message);
    RequestReport();
    const auto wait = backoff.Next(registry->retry_after());
    if (!SleepFor(wait.value_or(options_.watch_retry.cap), stop)) return;
  }
}

namespace {

json ReportEntry(const LiveModel& live, std::string_view state) {
  return {{"tenant", live.tenant},
          {"model", live.model},
          {"version", live.version},
          {"digest", live.digest.Text()},
          {"state", state}};
}

json Describe(const LiveModel& live) {
  return {{"tenant", live.tenant},
          {"model", live.model},
          {"version", live.version},
          {"digest", live.digest.Text()},
          {"bytes", live.size},
          {"base", live.base},
          {"base_digest", live.base_digest.Text()}};
}

}  // namespace

// What is published counts as applied; a wish that is not met is named beside it, with the reason.
json Node::Report() const {
  json models = json::array();
  for (const GenerationStatus& status : residency_.Snapshot()) {
    if (status.state == GenerationState::kPublished) {
      models.push_back(ReportEntry(status.live, "applied"));
    }
  }
  for (const TargetStatus& target : targets_.Snapshot()) {
    if (target.state == TargetState::kApplied) continue;
    // What is stored answers when it is asked for.
    const bool stored = target.state == TargetState::kStored;
    const char* state = stored ? "applied" : target.reason.empty() ? "loading" : "refused";
    json entry = ReportEntry(target.want, state);
    if (!target.reason.empty()) {
      entry["reason"] = (target.reason + ": " + target.message).substr(0, 900);
    }
    models.push_back(std::move(entry));
  }
  return {{"device", options_.device},
          {"memory", {{"free", budget_->free()}, {"total", budget_->total()}}},
          {"models", std::move(models)}};
}

// ---- documents

json Node::ResidencyDocument() const {
  json models = json::array();
  json retiring = json::array();
  for (const GenerationStatus& status : residency_.Snapshot()) {
    const bool published = status.state == GenerationState::kPublished;
    json entry = Describe(status.live);
    entry["state"] = published ? "applied" : GenerationStateName(status.state);
    entry["leases"] = status.leases;
    (published ? models : retiring).push_back(std::move(entry));
  }
  json pending = json::array();
  for (const TargetStatus& target : targets_.Snapshot()) {
    if (target.state == TargetState::kApplied) continue;
    json entry = Describe(target.want);
    entry["state"] = TargetStateName(target.state);
    entry["bytes_done"] = target.done;
    entry["failures"] = target.failures;
    entry["gave_up"] = target.gave_up;
    entry["reason"] = target.reason.empty() ? json(nullptr) : json(target.reason);
    entry["message"] = target.message.empty() ? json(nullptr) : json(target.message);
    pending.push_back(std::move(entry));
  }
  const std::lock_guard lock(error_mutex_);
  return {{"node", options_.name},
          {"device", options_.device},
          {"tenants", options_.tenants},
          {"seq", seq_.load()},
          {"registry",
           {{"url", options_.registry_url},
            {"reachable", registry_up_.load()},
            {"error", registry_error_.empty() ? json(nullptr) : json(registry_error_)}}},
          {"memory",
           {{"total", budget_->total()}, {"used", budget_->used()}, {"free", budget_->free()}}},
          {"freed", residency_.freed_total()},
          {"models", std::move(models)},
          {"retiring", std::move(retiring)},
          {"pending", std::move(pending)}};
}

json Node::ModelsDocument() const {
  json data = json::array();
  const auto add = [&](const LiveModel& live) {
    data.push_back({{"id", live.Name()},
                    {"object", "model"},
                    {"created", 0},
                    {"owned_by", live.tenant},
                    {"version", live.version},
                    {"system_fingerprint", live.digest.Text()}});
  };
  for (const GenerationStatus& status : residency_.Snapshot()) {
    if (status.state == GenerationState::kPublished) add(status.live);
  }
  for (const TargetStatus& target : targets_.Snapshot()) {
    const bool here = residency_.Serves(target.want.tenant, target.want.model);
    if (target.state == TargetState::kStored && !here) add(target.want);
  }
  return {{"object", "list"}, {"data", std::move(data)}};
}

std::string Node::MetricsText() {
  NodeMetrics::Gauges gauges;
  for (const GenerationStatus& status : residency_.Snapshot()) {
    ++(status.state == GenerationState::kPublished ? gauges.published : gauges.retiring);
    gauges.leases += status.leases;
  }
  for (const TargetStatus& target : targets_.Snapshot()) {
    ++gauges.wanted;
    if (target.state != TargetState::kApplied) ++gauges.lagging;
  }
  gauges.memory_total = budget_->total();
  gauges.memory_used = budget_->used();
  gauges.cache_bytes = cache_->TotalBytes();
  gauges.swaps = residency_.published_total();
  gauges.freed = residency_.freed_total();
  gauges.registry_reachable = registry_up_;
  return metrics_.Text(gauges);
}

std::string Node::NotReadyBecause() const {
  if (!live_known_) return "what is live is not known yet";
  for (const TargetStatus& target : targets_.Snapshot()) {
    const bool loading =
        target.state == TargetState::kWaiting || target.state == TargetState::kLoading;
    if (loading && !residency_.Acquire(target.want.tenant, target.want.model)) {
      return target.want.Name() + " is " + std::string(TargetStateName(target.state));
    }
  }
  return "";
}

}  // namespace signum::client
