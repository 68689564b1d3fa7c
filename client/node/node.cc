#include "client/node/node.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "storage/base/name.h"

namespace signum::client {

namespace {

std::shared_ptr<MemoryBudget> HostBudget(const NodeOptions& options) {
  if (options.host_budget != nullptr) return options.host_budget;
  return std::make_shared<MemoryBudget>(options.memory_bytes,
                                        options.slots > 0 ? options.slots + 1 : 0);
}

}  // namespace

Node::Node(NodeOptions options)
    : options_(std::move(options)),
      budget_(HostBudget(options_)),
      residency_(options_.slots > 0),
      targets_(options_.load_retry, options_.refused_retry) {
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
  node->loader_ =
      std::make_unique<Loader>(*node->cache_, node->budget_, *node->trust_, chosen.fetch);
  Node* self = node.get();
  const Follower::Parts parts{node->targets_, node->residency_, node->host_, *node->cache_,
                              node->metrics_};
  node->follower_ = std::make_unique<Follower>(chosen, parts, [self] { self->WakeWaiters(); });
  node->follower_->Recall();
  for (int i = 0; i < chosen.loaders; ++i) {
    node->threads_.emplace_back([self](const std::stop_token& stop) { self->LoadLoop(stop); });
  }
  node->threads_.emplace_back(
      [self](const std::stop_token& stop) { self->follower_->Follow(stop); });
  node->threads_.emplace_back(
      [self](const std::stop_token& stop) { self->follower_->AnswerAsks(stop); });
  node->threads_.emplace_back([self](const std::stop_token& stop) { self->ReportLoop(stop); });
  return node;
}

Node::~Node() { Stop(); }

void Node::Stop() {
  for (std::jthread& thread : threads_) thread.request_stop();
  threads_.clear();
}

// ---- loading

void Node::LoadLoop(const std::stop_token& stop) {
  const std::unique_ptr<Registry> registry = NewRegistry(options_, options_.call_retry, stop);
  while (const std::optional<LiveModel> live = targets_.Take(stop)) {
    LoadOne(*registry, *live);
    cache_->Trim(targets_.WantedDigests());
  }
}

// Rolled back to what is still here: nothing to load.
bool Node::StillHere(const LiveModel& live) {
  if (residency_.Holds(live)) {
    targets_.Applied(live, [] {});
    return true;
  }
  bool revived = false;
  if (residency_.HoldsKept(live)) {
    targets_.Applied(live, [&] { revived = residency_.Revive(live); });
    if (revived) spdlog::info("{}@{}: back, it was still here", live.Name(), live.version);
  }
  return revived;
}

// On a device what was in the host's memory before is as verified as what comes there now.
Result<Generation> Node::Obtain(Registry& registry, const LiveModel& live,
                                const Loader::Progress& progress, LoadReport& report) {
  if (std::optional<Generation> copy = host_.Find(live)) {
    report.source = "host";
    return *std::move(copy);
  }
  const Loader::MakeRoom make_room = [&] { return MakeHostRoom(live); };
  Result<Generation> loaded = loader_->Load(registry, live, progress, make_room, report);
  metrics_.Downloaded(report.bytes_downloaded);
  if (!report.cache_damage.empty()) {
    metrics_.VerifyFailed(report.cache_damage);
    spdlog::warn("{}@{}: the cache's copy is damaged ({}), fetching it anew", live.Name(),
                 live.version, report.cache_damage);
  }
  if (loaded && has_device()) host_.Keep(*loaded);
  return loaded;
}

// A generation that is ready to be published.
Result<Generation> Node::Load(Registry& registry, const LiveModel& live, LoadReport& report) {
  const Loader::Progress progress = [&](GenerationState state, uint64_t done) {
    targets_.Progress(live, done, state == GenerationState::kStaging);
  };
  SIGNUM_ASSIGN(Generation generation, Obtain(registry, live, progress, report));
  const Loader::MakeRoom make_room = [&] { return MakeRoom(live); };
  if (options_.prepare) {
    SIGNUM_TRY(options_.prepare(registry, generation, progress, make_room));
  }
  if (has_device()) {
    generation.outline = std::make_shared<const DeltaOutline>(OutlineOf(*generation.delta));
    generation.delta.reset();
    generation.arena.reset();
  }
  return generation;
}

void Node::LoadOne(Registry& registry, const LiveModel& live) {
  if (StillHere(live)) return;
  const auto begin = std::chrono::steady_clock::now();
  LoadReport report;
  Result<Generation> loaded = Load(registry, live, report);
  if (!loaded && loaded.error().code == Errc::kCorrupt) {
    host_.Drop(live);
    metrics_.VerifyFailed(loaded.error().reason);
  }
  if (!loaded) {
    if (loaded.error().code != Errc::kCancelled) {
      NotLoaded(live, loaded.error(), registry.retry_after());
    }
    return;
  }
  const bool current = targets_.Applied(live, [&] { residency_.Publish(std::move(*loaded)); });
  if (!current) return host_.Drop(live);  // removed or replaced while it was loaded
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  metrics_.Loaded(report.source, took.count());
  spdlog::info("{}@{}: published, {} bytes from the {} in {:.3f} s", live.Name(), live.version,
               live.size, report.source, took.count());
}

// Nobody's place is taken for a model that nobody has asked for; a model in use gets its new
// generation, and one that is asked for its place, from what has not been used for longest.
bool Node::MakeRoom(const LiveModel& live) {
  const bool wanted = targets_.Demanded(live) || residency_.Serves(live.tenant, live.model);
  const auto evicted = residency_.Evict(wanted ? EvictFrom::kAll : EvictFrom::kKept, live);
  if (!evicted) return false;
  if (evicted->published) {
    spdlog::info("{}: evicted for {}", evicted->live.Name(), live.Name());
    metrics_.Evicted();
    host_.Touch(evicted->live);
    targets_.Stored(evicted->live);
  }
  return true;
}

// Where there is a device, the host's memory holds copies, of which none is in use.
bool Node::MakeHostRoom(const LiveModel& live) {
  if (!has_device()) return MakeRoom(live);
  return host_.Evict([this](const LiveModel& kept) {
    return residency_.Holds(kept) || residency_.HoldsKept(kept);
  });
}

void Node::NotLoaded(const LiveModel& live, const Error& error, std::optional<Millis> retry_after) {
  const bool host_full = error.reason == "memory_budget" && budget_->Fits(live.size);
  const bool device_full =
      error.reason == "device_budget" && error.code == Errc::kExhausted && places().Fits(live.size);
  const bool no_room = host_full || device_full || error.reason == "slots_full";
  // On the way to a device others are in the host's memory for a moment.
  const bool passing = host_full && has_device();
  if (passing || (no_room && targets_.Demanded(live))) {
    return targets_.Postpone(live, Millis{20});
  }
  const bool swap = residency_.Serves(live.tenant, live.model);
  if (no_room && !swap) return targets_.Stored(live);
  metrics_.Refused(error.reason);
  spdlog::warn("{}@{}: refused: {} ({})", live.Name(), live.version, error.message, error.reason);
  if (targets_.Failed(live, error, retry_after)) follower_->Doubt();
}

// ---- requests

namespace {

Error UnknownModel(const std::string& tenant, const std::string& model) {
  return Fail(Errc::kNotFound, "unknown_model",
              "no model '" + Printable(tenant + "/" + model) + "' is served here");
}

}  // namespace

Result<std::optional<Lease>> Node::Find(const std::string& tenant, const std::string& model) {
  follower_->Touch(tenant);
  if (Result<Lease> lease = residency_.Acquire(tenant, model)) {
    return std::optional<Lease>(*std::move(lease));
  }
  std::optional<TargetStatus> target = targets_.Find(tenant, model);
  if (!target) {
    SIGNUM_ASSIGN(const bool answered, follower_->Ask(tenant));
    if (!answered) return std::optional<Lease>();
    target = targets_.Find(tenant, model);
  }
  if (!target) return UnknownModel(tenant, model);
  targets_.Demand(tenant, model);
  if (target->state != TargetState::kRefused) return std::optional<Lease>();
  return Fail(Errc::kUnavailable, "model_refused",
              target->want.Name() + " can't be loaded: " + target->message);
}

Result<void> Node::Prefetch(const std::string& tenant, const std::string& model) {
  if (residency_.Serves(tenant, model) || targets_.Demand(tenant, model)) return {};
  return UnknownModel(tenant, model);
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
  const std::unique_ptr<Registry> registry = NewRegistry(options_, {Millis{0}, Millis{0}, 1}, stop);
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

std::string Node::MetricsText() {
  NodeMetrics::Gauges gauges;
  for (const GenerationStatus& status : residency_.Snapshot()) {
    ++(status.state == GenerationState::kPublished ? gauges.published : gauges.retiring);
    gauges.leases += status.leases;
  }
  for (const TargetStatus& target : targets_.Snapshot()) {
    if (target.state == TargetState::kListed) continue;
    ++gauges.wanted;
    if (target.state != TargetState::kApplied) ++gauges.lagging;
  }
  gauges.memory_total = budget_->total();
  gauges.memory_used = budget_->used();
  if (has_device()) {
    gauges.device_total = options_.device_budget->total();
    gauges.device_used = options_.device_budget->used();
    gauges.device_free = options_.device_memory().second;
  }
  gauges.slots = places().slots();
  gauges.slots_used = places().slots_used();
  gauges.cache_bytes = cache_->TotalBytes();
  gauges.swaps = residency_.published_total();
  gauges.freed = residency_.freed_total();
  const Follower::State following = follower_->state();
  gauges.registry_reachable = following.reachable;
  gauges.guests = following.guests.size();
  return metrics_.Text(gauges);
}

std::string Node::NotReadyBecause() const {
  if (const Follower::State following = follower_->state(); !following.known) {
    const std::string why = following.error.empty() ? "" : ": " + following.error;
    return "what is live is not known yet" + why;
  }
  for (const TargetStatus& target : targets_.Snapshot()) {
    if (!follower_->Named(target.want.tenant)) continue;
    const bool loading =
        target.state == TargetState::kWaiting || target.state == TargetState::kLoading;
    if (loading && !residency_.Acquire(target.want.tenant, target.want.model)) {
      return target.want.Name() + " is " + std::string(TargetStateName(target.state));
    }
  }
  return "";
}

}  // namespace signum::client
