#include <atomic>
#include <map>
#include <mutex>
#include <shared_mutex>

#include "storage/engine.h"
#include "storage/engine_errors.h"
#include "storage/lease_table.h"
#include "storage/partition.h"
#include "storage/watch_list.h"

namespace signum {

namespace {

// Blobs by id; shared with the writers, which may outlive the engine.
struct Blobs {
  std::shared_mutex mutex;
  uint64_t next = 1;
  std::map<uint64_t, std::shared_ptr<const ByteSource>> by_id;
};

class MemoryBlobWriter final : public BlobWriter {
 public:
  explicit MemoryBlobWriter(std::shared_ptr<Blobs> blobs) : blobs_(std::move(blobs)) {}

  Result<void> Append(ConstBytes bytes) override {
    bytes_.append(AsText(bytes));
    return {};
  }

  Result<uint64_t> Seal() override {
    std::unique_lock lock(blobs_->mutex);
    const uint64_t id = blobs_->next++;
    blobs_->by_id.emplace(id, std::make_shared<MemorySource>(std::move(bytes_)));
    return id;
  }

 private:
  std::shared_ptr<Blobs> blobs_;
  std::string bytes_;
};

// Refuses a batch that spans two partitions, as an engine over a cluster would: what runs on this
// engine in the tests is known to run there.
class MemoryEngine final : public Engine {
 public:
  Result<std::optional<std::string>> Get(std::string_view key) const override {
    std::shared_lock lock(mutex_);
    const auto it = keys_.find(key);
    return it == keys_.end() ? std::optional<std::string>() : it->second;
  }

  Result<std::vector<KeyValue>> Scan(std::string_view begin, std::string_view end,
                                     size_t limit) const override {
    std::vector<KeyValue> found;
    std::shared_lock lock(mutex_);
    for (auto it = keys_.lower_bound(begin);
         it != keys_.end() && it->first < end && found.size() < limit; ++it) {
      found.push_back({it->first, it->second});
    }
    return found;
  }

  Result<void> Commit(const Batch& batch) override {
    SIGNUM_TRY(CheckOnePartition(batch));
    {
      std::unique_lock lock(mutex_);
      SIGNUM_TRY(Check(batch));
      Apply(batch);
    }
    for (const Mutation& mutation : batch.mutations) watches_.Notify(mutation.key);
    return {};
  }

  Result<std::unique_ptr<BlobWriter>> CreateBlob() override {
    return std::unique_ptr<BlobWriter>(std::make_unique<MemoryBlobWriter>(blobs_));
  }

  Result<std::shared_ptr<const ByteSource>> OpenBlob(uint64_t id) const override {
    std::shared_lock lock(blobs_->mutex);
    const auto it = blobs_->by_id.find(id);
    if (it == blobs_->by_id.end()) return UnknownBlob(id);
    return it->second;
  }

  Result<void> DeleteBlob(uint64_t id) override {
    std::unique_lock lock(blobs_->mutex);
    if (blobs_->by_id.erase(id) == 0) return UnknownBlob(id);
    return {};
  }

  Result<std::vector<uint64_t>> ListBlobs() const override {
    std::vector<uint64_t> ids;
    std::shared_lock lock(blobs_->mutex);
    ids.reserve(blobs_->by_id.size());
    for (const auto& [id, blob] : blobs_->by_id) ids.push_back(id);
    return ids;
  }

  Result<std::unique_ptr<EngineLease>> AcquireLease(std::string_view name, std::string_view holder,
                                                    int64_t duration_micros) override {
    return leases_.Acquire(name, holder, duration_micros);
  }

  std::shared_ptr<void> Watch(std::string prefix,
                              std::function<void(std::string_view)> callback) override {
    return watches_.Add(std::move(prefix), std::move(callback));
  }

  Result<EngineUsage> Usage() const override {
    EngineUsage usage;
    {
      std::shared_lock lock(blobs_->mutex);
      for (const auto& [id, blob] : blobs_->by_id) usage.blob_bytes += blob->size();
    }
    std::shared_lock lock(mutex_);
    for (const auto& [key, value] : keys_) usage.metadata_bytes += key.size() + value.size();
    return usage;
  }

 private:
  Result<void> Check(const Batch& batch) const {
    for (const Precondition& condition : batch.preconditions) {
      const auto it = keys_.find(condition.key);
      const bool holds = it == keys_.end() ? !condition.value.has_value()
                                           : condition.value == std::optional(it->second);
      if (!holds) return PreconditionFailed(condition.key);
    }
    return {};
  }

  void Apply(const Batch& batch) {
    for (const Mutation& mutation : batch.mutations) {
      if (mutation.value) {
        keys_[mutation.key] = *mutation.value;
      } else {
        keys_.erase(mutation.key);
      }
    }
  }

  mutable std::shared_mutex mutex_;
  std::map<std::string, std::string, std::less<>> keys_;
  std::shared_ptr<Blobs> blobs_ = std::make_shared<Blobs>();
  LeaseTable leases_;
  WatchList watches_;
};

}  // namespace

std::unique_ptr<Engine> NewMemoryEngine() { return std::make_unique<MemoryEngine>(); }

}  // namespace signum
