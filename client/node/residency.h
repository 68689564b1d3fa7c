#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "client/live_model.h"
#include "client/node/arena.h"
#include "client/node/delta_outline.h"
#include "storage/base/result.h"
#include "storage/format/delta_file.h"

namespace signum::client {

// The life of one delta on a node. The first four belong to those who load, the rest to Residency.
// kHost: in the host's memory alone, on a node with a device. kStaging: on its way to the device's.
// kKept: replaced, but still in memory.
enum class GenerationState {
  kDownloading,
  kVerified,
  kHost,
  kStaging,
  kPublished,
  kKept,
  kRetiring,
  kFreed
};
std::string_view GenerationStateName(GenerationState state);

// Whether both name the same version of the same model, with the same bytes.
bool SameGeneration(const LiveModel& a, const LiveModel& b);

struct DeviceDelta;
struct ServedModel;

// A verified delta in memory: the host's, or a device's (Residency has it there alone). Immutable.
struct Generation {
  LiveModel live;
  std::shared_ptr<const Arena> arena;
  std::shared_ptr<const DeltaReader> delta;     // over the arena
  std::vector<Digest> chunks;                   // of the arena, as they were signed
  std::shared_ptr<const DeviceDelta> device;    // the same bytes on a device
  std::shared_ptr<const DeltaOutline> outline;  // where `delta` is no longer here
  // Where the node serves: the model ready to answer, or why it can't.
  std::shared_ptr<const ServedModel> served;
  std::optional<Error> not_served;
};

// What is known of one generation that is in memory.
struct GenerationStatus {
  LiveModel live;
  GenerationState state = GenerationState::kPublished;
  uint64_t leases = 0;
};

class Residency;

// What room may be made from: replaced generations that are kept, or those that are published too.
enum class EvictFrom { kKept, kAll };

// The right to read one generation: it stays in memory, unchanged, as long as the lease. Movable;
// may be given up on any thread.
class Lease {
 public:
  Lease() = default;
  Lease(Lease&&) noexcept = default;
  Lease& operator=(Lease&& other) noexcept;
  ~Lease() { Release(); }

  const Generation& operator*() const;
  const Generation* operator->() const { return &**this; }
  Lease Another() const;  // one more of the same generation
  explicit operator bool() const { return slot_ != nullptr; }
  void Release();

 private:
  friend class Residency;
  struct Slot;
  explicit Lease(std::shared_ptr<Slot> slot);
  std::shared_ptr<Slot> slot_;
};

// Which generation of each model is published. A swap is one pointer exchange under a lock that
// nobody holds for longer: readers who have a lease go on with theirs, who comes later gets the new
// one, nobody waits. A generation that was replaced or retired is freed when its last lease ends,
// by whoever ends it; or, where replaced ones are kept, when its place is needed, so that going
// back to it costs nothing. Thread-safe.
class Residency {
 public:
  explicit Residency(bool keep_replaced = false);
  ~Residency();  // every lease must have ended

  // Errc::kNotFound "not_resident".
  Result<Lease> Acquire(const std::string& tenant, const std::string& model) const;
  // Whether some version of the model is published; exactly this one.
  bool Serves(const std::string& tenant, const std::string& model) const;
  bool Holds(const LiveModel& live) const;
  // Makes this the generation of its model.
  void Publish(Generation generation);
  // Makes a kept generation that is exactly this one the generation of its model again; false where
  // there is none.
  bool Revive(const LiveModel& live);
  bool HoldsKept(const LiveModel& live) const;
  // Makes room: frees the kept generation without readers, or else the published one, that was
  // acquired or published the longest ago, and is not `except`'s model nor pinned. What was freed;
  // nullopt where there is nothing to free.
  struct Evicted {
    LiveModel live;
    bool published = false;
  };
  std::optional<Evicted> Evict(EvictFrom from, const LiveModel& except);
  // Models that are never evicted.
  void Pin(const std::string& tenant, const std::string& model);

  // The model is no longer served. Returns whether it was.
  bool Retire(const std::string& tenant, const std::string& model);

  // Published and retiring generations, by tenant and model.
  std::vector<GenerationStatus> Snapshot() const;
  uint64_t published_total() const { return published_total_; }
  uint64_t freed_total() const;

 private:
  using Key = std::pair<std::string, std::string>;
  void Forget(std::shared_ptr<Lease::Slot> slot, bool keep);
  std::shared_ptr<Lease::Slot> TakeOldestKept();
  std::shared_ptr<Lease::Slot> TakeOldestPublished(const LiveModel& except);

  struct Counters;
  std::shared_ptr<Counters> counters_;
  mutable std::mutex mutex_;
  std::map<Key, std::shared_ptr<Lease::Slot>> published_;
  std::vector<std::weak_ptr<Lease::Slot>> retiring_;
  const bool keep_replaced_;
  std::vector<std::shared_ptr<Lease::Slot>> kept_;  // replaced, perhaps with readers still
  std::set<Key> pinned_;
  mutable uint64_t clock_ = 0;  // counts acquisitions and publications
  std::atomic<uint64_t> published_total_{0};
};

}  // namespace signum::client
