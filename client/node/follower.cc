#include "client/node/follower.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <set>

namespace signum::client {
namespace {

// A feed without changes that answers sooner does not wait as it was asked to.
constexpr std::chrono::seconds kHurry{1};
// Between one call of the feed and the next, however fast it brings changes.
constexpr Millis kFeedInterval{50};

}  // namespace

Follower::Follower(const NodeOptions& options, Parts parts, std::function<void()> on_answer)
    : options_(options),
      parts_(parts),
      on_answer_(std::move(on_answer)),
      memory_(options.cache_directory / "live") {
  for (const std::string& tenant : options_.tenants) tenants_[tenant];
}

void Follower::Recall() {
  for (const std::string& tenant : options_.tenants) {
    const auto live = memory_.Recall(tenant);
    if (live) {
      parts_.targets.Sync(tenant, *live);
      const std::lock_guard lock(mutex_);
      tenants_[tenant].known = true;
    } else if (live.error().code != Errc::kNotFound) {
      spdlog::warn("{}", live.error().message);
    }
  }
}

bool Follower::Refused(const Error& error) {
  return error.code == Errc::kNotFound || error.code == Errc::kDenied ||
         error.code == Errc::kUnauthorized || error.code == Errc::kInvalid;
}

// ---- who is followed

std::vector<std::string> Follower::Names() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> out;
  for (const auto& [name, tenant] : tenants_) out.push_back(name);
  return out;
}

std::optional<Follower::Tenant> Follower::Find(const std::string& tenant) const {
  const std::lock_guard lock(mutex_);
  const auto found = tenants_.find(tenant);
  if (found == tenants_.end()) return std::nullopt;
  return found->second;
}

bool Follower::Named(const std::string& tenant) const {
  return std::find(options_.tenants.begin(), options_.tenants.end(), tenant) !=
         options_.tenants.end();
}

// ---- lists and changes into wishes

// It is not wanted here any more; who reads it does so to the end.
void Follower::Retire(const std::string& tenant, const std::string& model) {
  parts_.host.Forget(tenant, model);
  if (parts_.residency.Retire(tenant, model)) spdlog::info("{}/{}: retired", tenant, model);
}

// A node that starts wants to serve: only what changes under a running one is spread.
void Follower::SyncWishes(const std::string& tenant, const LiveState& list, bool guest) {
  const Millis spread = state().known && !guest ? options_.fetch_window : Millis{0};
  for (const std::string& model : parts_.targets.Sync(tenant, list.models, spread, guest)) {
    Retire(tenant, model);
  }
}

// `asked`: the list was read beside the feed, and may be older than what the feed has brought.
Result<void> Follower::TakeList(const std::string& tenant, LiveState list, bool asked) {
  const std::lock_guard applying(apply_mutex_);
  auto known = Find(tenant);
  const bool joins = !known && asked && options_.max_guests > 0 && !list.models.empty();
  if (joins) {
    SIGNUM_TRY(Admit(tenant));
    known = Find(tenant);
  }
  if (!known || (asked && list.seq < known->applied)) return {};
  SyncWishes(tenant, list, known->guest);
  {
    const std::lock_guard lock(mutex_);
    Tenant& entry = tenants_[tenant];
    entry.known = true;
    entry.applied = list.seq;
    entry.list = std::make_shared<const LiveState>(std::move(list));
  }
  if (joins) EndTurn();
  Remember(tenant);
  return {};
}

// How long the fetch may wait: not at all where there is nothing to fetch.
Millis Follower::SpreadOf(const LiveModel& live) const {
  std::error_code ignored;
  const bool here = parts_.residency.Holds(live) ||
                    std::filesystem::exists(parts_.cache.DeltaPath(live.digest), ignored);
  return here ? Millis{0} : options_.fetch_window;
}

void Follower::ApplyChange(const Change& change, bool guest) {
  const LiveModel& model = change.model;
  if (!change.removed) {
    spdlog::info("{}: live is now {}", model.Name(), model.version);
    return parts_.targets.Want(model, SpreadOf(model), guest);
  }
  parts_.targets.Remove(model.tenant, model.model);
  Retire(model.tenant, model.model);
}

// What a list has brought already is passed over.
void Follower::ApplyChanges(const WatchAnswer& answer) {
  const std::lock_guard applying(apply_mutex_);
  std::set<std::string> changed;
  for (const Change& change : answer.changes) {
    const auto tenant = Find(change.model.tenant);
    if (!tenant || change.seq <= tenant->applied) continue;
    ApplyChange(change, tenant->guest);
    changed.insert(change.model.tenant);
    const std::lock_guard lock(mutex_);
    tenants_[change.model.tenant].applied = change.seq;
  }
  for (const std::string& tenant : changed) Remember(tenant);
}

void Follower::Remember(const std::string& tenant) {
  if (!Named(tenant)) return;
  const Result<void> done = memory_.Remember(tenant, parts_.targets.Wanted(tenant));
  if (!done) spdlog::warn("cannot remember what is live: {}", done.error().message);
}

// ---- following

// A turn ends when the tenants change: the next one watches the new ones.
std::stop_source Follower::BeginTurn() {
  const std::lock_guard lock(mutex_);
  turn_ = std::stop_source();
  return turn_;
}

void Follower::EndTurn() {
  const std::lock_guard lock(mutex_);
  turn_.request_stop();
}

void Follower::Doubt() {
  doubt_ = true;
  EndTurn();
}

// Guests that the registry no longer shows us leave; a named tenant's list is waited for.
Result<void> Follower::ReadList(Registry& registry, const std::string& tenant) {
  const auto known = Find(tenant);
  if (!known) return {};
  Result<LiveState> list = registry.Live(tenant, known->list.get());
  if (list) return TakeList(tenant, *std::move(list), false);
  if (!known->guest || !Refused(list.error())) return list.error();
  const std::lock_guard applying(apply_mutex_);
  Drop(tenant);
  return {};
}

// Reads the lists of all; the feed goes on from the oldest of their places.
Result<void> Follower::ReadLists(Registry& registry) {
  for (const std::string& tenant : Names()) SIGNUM_TRY(ReadList(registry, tenant));
  const std::lock_guard lock(mutex_);
  seq_ = UINT64_MAX;
  for (const auto& [name, tenant] : tenants_) seq_ = std::min(seq_, tenant.applied);
  synced_ = true;
  return {};
}

std::chrono::seconds Follower::WatchWait() const {
  const std::lock_guard lock(mutex_);
  std::chrono::seconds wait = options_.watch_wait;
  for (const auto& [name, tenant] : tenants_) {
    if (!tenant.guest) continue;
    const auto left = tenant.used + options_.guest_idle - Clock::now();
    wait = std::min(wait, std::chrono::ceil<std::chrono::seconds>(left));
  }
  return std::max(wait, std::min(options_.watch_wait, std::chrono::seconds{1}));
}

Result<void> Follower::Watch(Registry& registry) {
  const auto begin = Clock::now();
  const std::chrono::seconds wait = WatchWait();
  Result<WatchAnswer> answer = registry.Watch(Names(), state().seq, wait);
  if (!answer) {
    // The feed no longer reaches back to our place, the registry is another one now, a guest is
    // not shown to us any more, or what was said of the feed can't be.
    if (Refused(answer.error()) || answer.error().reason == "bad_answer") synced_ = false;
    return answer.error();
  }
  ApplyChanges(*answer);
  {
    const std::lock_guard lock(mutex_);
    seq_ = answer->seq;
  }
  const bool waited = Clock::now() - begin >= std::min(wait, kHurry);
  if (waited || !answer->changes.empty()) return {};
  return Fail(Errc::kUnavailable, "feed_hurries", "/v1/watch: answers at once, without changes");
}

// Logs the first of a row of equal failures, and that they are over.
void Follower::NoteRegistry(const Result<void>& outcome) {
  const std::string message = outcome ? "" : outcome.error().message;
  if (!outcome) parts_.metrics.RegistryFailed(outcome.error().reason);
  if (outcome && !reachable_) spdlog::info("registry: following {}", options_.registry_url);
  reachable_ = outcome.has_value();
  const std::lock_guard lock(mutex_);
  if (!outcome && message != error_) spdlog::warn("registry: {}", message);
  error_ = message;
}

void Follower::Follow(const std::stop_token& stop) {
  Backoff backoff(options_.watch_retry);
  while (!stop.stop_requested()) {
    std::stop_source turn = BeginTurn();
    if (doubt_.exchange(false)) synced_ = false;
    const std::stop_callback end(stop, [turn]() mutable { turn.request_stop(); });
    const std::unique_ptr<Registry> registry =
        NewRegistry(options_, {Millis{0}, Millis{0}, 1}, turn.get_token());
    while (!turn.stop_requested()) {
      const Millis wait = Step(*registry, backoff);
      if (turn.stop_requested()) break;
      SleepFor(wait, turn.get_token());
    }
  }
}

// One call of the feed, or of the lists; returns how long to wait before the next. Lists alone are
// no progress: a feed that is always gone must not be asked ever so often.
Millis Follower::Step(Registry& registry, Backoff& backoff) {
  const bool feed = synced_;
  const Result<void> outcome = feed ? Watch(registry) : ReadLists(registry);
  if (registry.options().stop.stop_requested()) return Millis{0};
  NoteRegistry(outcome);
  DropIdle();
  if (!outcome) return backoff.Next(registry.retry_after()).value_or(options_.watch_retry.cap);
  if (feed) backoff.Reset();
  return feed ? kFeedInterval : Millis{0};
}

// ---- state

Follower::State Follower::state() const {
  const std::lock_guard lock(mutex_);
  State out;
  out.known = true;
  for (const auto& [name, tenant] : tenants_) {
    if (tenant.guest) out.guests.push_back(name);
    out.known = out.known && (tenant.guest || tenant.known);
  }
  out.reachable = reachable_;
  out.error = error_;
  out.seq = seq_;
  return out;
}

}  // namespace signum::client
