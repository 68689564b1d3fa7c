#include "client/node/residency.h"

#include <algorithm>

namespace signum::client {

std::string_view GenerationStateName(GenerationState state) {
  switch (state) {
    case GenerationState::kDownloading:
      return "downloading";
    case GenerationState::kVerified:
      return "verified";
    case GenerationState::kHost:
      return "host";
    case GenerationState::kStaging:
      return "staging";
    case GenerationState::kPublished:
      return "published";
    case GenerationState::kKept:
      return "kept";
    case GenerationState::kRetiring:
      return "retiring";
    case GenerationState::kFreed:
      return "freed";
  }
  return "?";
}

bool SameGeneration(const LiveModel& a, const LiveModel& b) {
  return a.tenant == b.tenant && a.model == b.model && a.version == b.version &&
         a.manifest_digest == b.manifest_digest;
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
  uint64_t used =
      0;  // under the Residency's lock: its clock when it was acquired or published last
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

Residency::Residency(bool keep_replaced)
    : counters_(std::make_shared<Counters>()), keep_replaced_(keep_replaced) {}
Residency::~Residency() = default;

Result<Lease> Residency::Acquire(const std::string& tenant, const std::string& model) const {
  const std::lock_guard lock(mutex_);
  const auto found = published_.find({tenant, model});
  if (found == published_.end()) {
    return Fail(Errc::kNotFound, "not_resident", tenant + "/" + model + " is not resident here");
  }
  found->second->used = ++clock_;
  return Lease(found->second);
}

bool Residency::Holds(const LiveModel& live) const {
  const std::lock_guard lock(mutex_);
  const auto found = published_.find({live.tenant, live.model});
  if (found == published_.end()) return false;
  return SameGeneration(found->second->generation.live, live);
}

void Residency::Publish(Generation generation) {
  const Key key{generation.live.tenant, generation.live.model};
  std::shared_ptr<Lease::Slot> slot = std::make_shared<Lease::Slot>(
      std::move(generation), [counters = counters_] { ++counters->freed; });
  {
    const std::lock_guard lock(mutex_);
    slot->used = ++clock_;
    std::swap(published_[key], slot);
    ++published_total_;
  }
  Forget(std::move(slot), keep_replaced_);
}

bool Residency::HoldsKept(const LiveModel& live) const {
  const std::lock_guard lock(mutex_);
  return std::any_of(kept_.begin(), kept_.end(),
                     [&](const auto& kept) { return SameGeneration(kept->generation.live, live); });
}

bool Residency::Serves(const std::string& tenant, const std::string& model) const {
  const std::lock_guard lock(mutex_);
  return published_.contains({tenant, model});
}

bool Residency::Revive(const LiveModel& live) {
  std::shared_ptr<Lease::Slot> slot;
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(kept_.begin(), kept_.end(), [&](const auto& kept) {
      return SameGeneration(kept->generation.live, live);
    });
    if (found == kept_.end()) return false;
    slot = std::move(*found);
    kept_.erase(found);
    slot->state = GenerationState::kPublished;
    slot->used = ++clock_;
    std::swap(published_[{live.tenant, live.model}], slot);
    ++published_total_;
  }
  Forget(std::move(slot), keep_replaced_);
  return true;
}

// ---- making room

void Residency::Pin(const std::string& tenant, const std::string& model) {
  const std::lock_guard lock(mutex_);
  pinned_.insert({tenant, model});
}

std::shared_ptr<Lease::Slot> Residency::TakeOldestKept() {
  auto oldest = kept_.end();
  for (auto it = kept_.begin(); it != kept_.end(); ++it) {
    if ((*it)->leases > 0) continue;
    if (oldest == kept_.end() || (*it)->used < (*oldest)->used) oldest = it;
  }
  if (oldest == kept_.end()) return nullptr;
  auto slot = std::move(*oldest);
  kept_.erase(oldest);
  return slot;
}

std::shared_ptr<Lease::Slot> Residency::TakeOldestPublished(const LiveModel& except) {
  auto oldest = published_.end();
  for (auto it = published_.begin(); it != published_.end(); ++it) {
    const bool ours = it->first == Key{except.tenant, except.model};
    if (ours || it->second->leases > 0 || pinned_.contains(it->first)) continue;
    if (oldest == published_.end() || it->second->used < oldest->second->used) oldest = it;
  }
  if (oldest == published_.end()) return nullptr;
  auto slot = std::move(oldest->second);
  published_.erase(oldest);
  return slot;
}

// Leases are taken under the lock: a generation without any that has left the lists stays without.
std::optional<Residency::Evicted> Residency::Evict(EvictFrom from, const LiveModel& except) {
  std::shared_ptr<Lease::Slot> slot;
  Evicted evicted;
  {
    const std::lock_guard lock(mutex_);
    slot = TakeOldestKept();
    if (slot == nullptr && from == EvictFrom::kAll) {
      slot = TakeOldestPublished(except);
      evicted.published = slot != nullptr;
    }
  }
  if (slot == nullptr) return std::nullopt;
  evicted.live = slot->generation.live;
  return evicted;
}

bool Residency::Retire(const std::string& tenant, const std::string& model) {
  std::shared_ptr<Lease::Slot> slot;
  {
    const std::lock_guard lock(mutex_);
    const auto found = published_.find({tenant, model});
    if (found == published_.end()) return false;
    slot = std::move(found->second);
    published_.erase(found);
    std::erase_if(kept_, [&](const auto& kept) {
      const LiveModel& held = kept->generation.live;
      const bool ours = held.tenant == tenant && held.model == model;
      if (ours && kept->leases > 0) retiring_.push_back(kept);
      return ours;
    });
  }
  Forget(std::move(slot), false);
  return true;
}

// Freeing, where this is the last reference, happens outside the lock: unmapping gigabytes takes
// time.
void Residency::Forget(std::shared_ptr<Lease::Slot> slot, bool keep) {
  if (!slot) return;
  slot->state = keep ? GenerationState::kKept : GenerationState::kRetiring;
  const std::lock_guard lock(mutex_);
  std::erase_if(retiring_, [](const auto& old) { return old.expired(); });
  if (keep) {
    kept_.push_back(std::move(slot));
  } else if (slot->leases > 0) {
    retiring_.push_back(slot);
  }
}

std::vector<GenerationStatus> Residency::Snapshot() const {
  std::vector<std::shared_ptr<Lease::Slot>> slots;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, slot] : published_) slots.push_back(slot);
    slots.insert(slots.end(), kept_.begin(), kept_.end());
    for (const auto& weak : retiring_) {
      if (auto slot = weak.lock()) slots.push_back(std::move(slot));
    }
  }
  std::vector<GenerationStatus> out;
  out.reserve(slots.size());
  for (const auto& slot : slots) {
    out.push_back({slot->generation.live, slot->state, slot->leases});
  }
  return out;
}

uint64_t Residency::freed_total() const { return counters_->freed; }

}  // namespace signum::client
