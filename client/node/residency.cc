#include "client/node/residency.h"

#include <algorithm>

namespace signum::client {

std::string_view GenerationStateName(GenerationState state) {
  switch (state) {
    case GenerationState::kDownloading:
      return "downloading";
    case GenerationState::kVerified:
      return "verified";
    case GenerationState::kPublished:
      return "published";
    case GenerationState::kRetiring:
      return "retiring";
    case GenerationState::kFreed:
      return "freed";
  }
  return "?";
}

// Outlives the Residency where a lease does.
struct Residency::Counters {
  std::atomic<uint64_t> freed{0};
};

// A generation and who reads it. Destroyed, and with it the arena, when neither the Residency nor a
// lease refers to it.
struct Lease::Slot {
  Slot(Generation value, std::function<void()> freed)
      : generation(std::move(value)), on_freed(std::move(freed)) {}
  ~Slot() { on_freed(); }

  Generation generation;
  std::function<void()> on_freed;
  std::atomic<uint64_t> leases{0};
  std::atomic<GenerationState> state{GenerationState::kPublished};
};

Lease::Lease(std::shared_ptr<Slot> slot) : slot_(std::move(slot)) { ++slot_->leases; }

Lease& Lease::operator=(Lease&& other) noexcept {
  if (this != &other) {
    Release();
    slot_ = std::move(other.slot_);
  }
  return *this;
}

const Generation& Lease::operator*() const { return slot_->generation; }

Lease Lease::Another() const { return slot_ ? Lease(slot_) : Lease(); }

void Lease::Release() {
  if (!slot_) return;
  --slot_->leases;
  slot_.reset();
}

Residency::Residency() : counters_(std::make_shared<Counters>()) {}
Residency::~Residency() = default;

Result<Lease> Residency::Acquire(const std::string& tenant, const std::string& model) const {
  const std::lock_guard lock(mutex_);
  const auto found = published_.find({tenant, model});
  if (found == published_.end()) {
    return Fail(Errc::kNotFound, "not_resident", tenant + "/" + model + " is not resident here");
  }
  return Lease(found->second);
}

bool Residency::Holds(const LiveModel& live) const {
  const std::lock_guard lock(mutex_);
  const auto found = published_.find({live.tenant, live.model});
  if (found == published_.end()) return false;
  const LiveModel& held = found->second->generation.live;
  return held.version == live.version && held.manifest_digest == live.manifest_digest;
}

void Residency::Publish(Generation generation) {
  const Key key{generation.live.tenant, generation.live.model};
  std::shared_ptr<Lease::Slot> slot = std::make_shared<Lease::Slot>(
      std::move(generation), [counters = counters_] { ++counters->freed; });
  {
    const std::lock_guard lock(mutex_);
    std::swap(published_[key], slot);
    ++published_total_;
  }
  Forget(std::move(slot));
}

bool Residency::Retire(const std::string& tenant, const std::string& model) {
  std::shared_ptr<Lease::Slot> slot;
  {
    const std::lock_guard lock(mutex_);
    const auto found = published_.find({tenant, model});
    if (found == published_.end()) return false;
    slot = std::move(found->second);
    published_.erase(found);
  }
  Forget(std::move(slot));
  return true;
}

// Freeing, where this is the last reference, happens outside the lock: unmapping gigabytes takes
// time.
void Residency::Forget(std::shared_ptr<Lease::Slot> slot) {
  if (!slot) return;
  slot->state = GenerationState::kRetiring;
  const std::lock_guard lock(mutex_);
  std::erase_if(retiring_, [](const auto& old) { return old.expired(); });
  if (slot->leases > 0) retiring_.push_back(slot);
}

std::vector<GenerationStatus> Residency::Snapshot() const {
  std::vector<std::shared_ptr<Lease::Slot>> slots;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, slot] : published_) slots.push_back(slot);
    for (const auto& weak : retiring_) {
      if (auto slot = weak.lock()) slots.push_back(std::move(slot));
    }
  }
  std::vector<GenerationStatus> out;
  for (const auto& slot : slots) {
    out.push_back({slot->generation.live, slot->state, slot->leases});
  }
  return out;
}

uint64_t Residency::freed_total() const { return counters_->freed; }

}  // namespace signum::client
