#include <spdlog/spdlog.h>

#include <algorithm>

#include "client/node/follower.h"
#include "storage/base/name.h"

// The part of Follower that is about guests: who asks, who joins, who leaves.

namespace signum::client {
namespace {

// An answer is as good as new for so long: a client that asks for what is not there costs the
// registry one call in that time, whatever it asks.
constexpr std::chrono::seconds kFresh{2};
constexpr size_t kMaxAsks = 256;
constexpr size_t kMaxAnswers = 1024;

Error NotShown(const std::string& tenant) {
  return Fail(Errc::kNotFound, "unknown_model",
              "no tenant '" + Printable(tenant) +
                  "' is served here, nor does the registry show one to this node");
}

}  // namespace

// ---- who joins, who leaves

void Follower::Touch(const std::string& tenant) {
  const std::lock_guard lock(mutex_);
  const auto found = tenants_.find(tenant);
  if (found != tenants_.end()) found->second.used = Clock::now();
}

// Tenants of models that somebody waits for.
std::set<std::string> Follower::Awaited() const {
  std::set<std::string> out;
  for (const TargetStatus& target : parts_.targets.Snapshot()) {
    const bool coming =
        target.state == TargetState::kWaiting || target.state == TargetState::kLoading;
    if (target.demanded && coming) out.insert(target.want.tenant);
  }
  return out;
}

// Whose models are awaited stays: two tenants in turn on one place would never be answered.
Result<void> Follower::MakePlace() {
  const std::set<std::string> awaited = Awaited();
  std::optional<std::string> oldest;
  {
    const std::lock_guard lock(mutex_);
    size_t guests = 0;
    for (const auto& [name, tenant] : tenants_) {
      if (!tenant.guest) continue;
      ++guests;
      const bool older = !oldest || tenant.used < tenants_.at(*oldest).used;
      if (older && !awaited.contains(name)) oldest = name;
    }
    if (guests < options_.max_guests) return {};
  }
  if (!oldest) {
    return Fail(Errc::kUnavailable, "guests_full",
                "all " + std::to_string(options_.max_guests) +
                    " places for other tenants are in use (--guests)");
  }
  Drop(*oldest);
  return {};
}

Result<void> Follower::Admit(const std::string& tenant) {
  SIGNUM_TRY(MakePlace());
  {
    const std::lock_guard lock(mutex_);
    Tenant& guest = tenants_[tenant];
    guest.guest = true;
    guest.used = Clock::now();
  }
  spdlog::info("{}: followed, for it was asked for", tenant);
  return {};
}

void Follower::Drop(const std::string& guest) {
  {
    const std::lock_guard lock(mutex_);
    tenants_.erase(guest);
    answers_.erase(guest);
  }
  for (const std::string& model : parts_.targets.Sync(guest, {})) {
    Retire(guest, model);
  }
  spdlog::info("{}: no longer followed", guest);
}

void Follower::DropIdle() {
  std::vector<std::string> idle;
  const std::lock_guard applying(apply_mutex_);
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, tenant] : tenants_) {
      if (tenant.guest && Clock::now() - tenant.used >= options_.guest_idle) idle.push_back(name);
    }
  }
  for (const std::string& guest : idle) Drop(guest);
}

// ---- asks

Result<bool> Follower::Ask(const std::string& tenant) {
  if (!CheckName("tenant", tenant)) return NotShown(tenant);
  const std::lock_guard lock(mutex_);
  const auto followed = tenants_.find(tenant);
  const bool known = followed != tenants_.end() && followed->second.known;
  if (followed == tenants_.end() && options_.max_guests == 0) return NotShown(tenant);
  const auto answer = answers_.find(tenant);
  if (answer != answers_.end() && Clock::now() - answer->second.at < kFresh) {
    if (answer->second.error && !known) return *answer->second.error;
    return true;
  }
  if (std::find(asks_.begin(), asks_.end(), tenant) != asks_.end()) return false;
  if (asks_.size() >= kMaxAsks) {
    return Fail(Errc::kUnavailable, "too_many_asks",
                "the registry is being asked for " + std::to_string(asks_.size()) +
                    " other tenants: try again later");
  }
  asks_.push_back(tenant);
  asks_wake_.notify_one();
  return false;
}

std::optional<std::string> Follower::NextAsk(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  if (!asks_wake_.wait(lock, stop, [this] { return !asks_.empty(); })) return std::nullopt;
  return asks_.front();
}

void Follower::Settle(const std::string& tenant, Result<LiveState> list) {
  Answer answer;
  if (list) {
    const Result<void> taken = TakeList(tenant, *std::move(list), true);
    if (!taken) answer.error = taken.error();
  } else if (Refused(list.error())) {
    answer.error = NotShown(tenant);
  } else {
    answer.error = Fail(Errc::kUnavailable, "registry_away",
                        "'" + tenant + "' is not known here, and the registry can't be asked: " +
                            list.error().message);
  }
  answer.at = Clock::now();
  {
    const std::lock_guard lock(mutex_);
    asks_.pop_front();
    if (answers_.size() >= kMaxAnswers) {
      std::erase_if(answers_, [&](const auto& old) { return answer.at - old.second.at >= kFresh; });
    }
    answers_.insert_or_assign(tenant, std::move(answer));
  }
  on_answer_();
}

void Follower::AnswerAsks(const std::stop_token& stop) {
  const std::unique_ptr<Registry> registry = NewRegistry(options_, {Millis{0}, Millis{0}, 1}, stop);
  while (const auto tenant = NextAsk(stop)) {
    const auto known = Find(*tenant);
    Result<LiveState> list = registry->Live(*tenant, known ? known->list.get() : nullptr);
    if (stop.stop_requested()) return;
    Settle(*tenant, std::move(list));
  }
}

}  // namespace signum::client
