#include "storage/lease_table.h"

#include <chrono>
#include <map>
#include <mutex>
#include <string>
#include <utility>

namespace signum {

using Steady = std::chrono::steady_clock;

struct LeaseTable::State {
  struct Held {
    std::string holder;
    uint64_t token = 0;  // which acquisition holds it
    Steady::time_point until;
  };
  std::mutex mutex;
  uint64_t next_token = 1;
  std::map<std::string, Held, std::less<>> held;
};

namespace {

class TableLease final : public EngineLease {
 public:
  TableLease(std::shared_ptr<LeaseTable::State> state, std::string name, uint64_t token,
             std::chrono::microseconds duration)
      : state_(std::move(state)), name_(std::move(name)), token_(token), duration_(duration) {}

  ~TableLease() override {
    std::lock_guard lock(state_->mutex);
    const auto it = state_->held.find(name_);
    if (it != state_->held.end() && it->second.token == token_) state_->held.erase(it);
  }

  // An expired lease that nobody took is still ours: renewing it takes nothing from anyone.
  Result<void> Renew() override {
    std::lock_guard lock(state_->mutex);
    const auto it = state_->held.find(name_);
    if (it == state_->held.end() || it->second.token != token_) {
      return Fail(Errc::kConflict, "lease_lost", "lease '" + name_ + "' was taken by another");
    }
    it->second.until = Steady::now() + duration_;
    return {};
  }

 private:
  std::shared_ptr<LeaseTable::State> state_;
  std::string name_;
  uint64_t token_;
  std::chrono::microseconds duration_;
};

}  // namespace

LeaseTable::LeaseTable() : state_(std::make_shared<State>()) {}

Result<std::unique_ptr<EngineLease>> LeaseTable::Acquire(std::string_view name,
                                                         std::string_view holder,
                                                         int64_t duration_micros) {
  const std::chrono::microseconds duration(duration_micros);
  std::lock_guard lock(state_->mutex);
  const auto now = Steady::now();
  const auto it = state_->held.find(name);
  if (it != state_->held.end() && it->second.holder != holder && it->second.until > now) {
    return Fail(Errc::kConflict, "lease_held",
                "lease '" + std::string(name) + "' is held by '" + it->second.holder + "'");
  }
  const uint64_t token = state_->next_token++;
  state_->held[std::string(name)] = {std::string(holder), token, now + duration};
  return std::unique_ptr<EngineLease>(
      std::make_unique<TableLease>(state_, std::string(name), token, duration));
}

}  // namespace signum
