#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "storage/engine.h"

namespace signum {

// Another engine, and how many keys were read of it: what a call costs, however fast the machine.
// What somebody else does in the meantime can be put before a commit.
class CountingEngine final : public Engine {
 public:
  explicit CountingEngine(Engine& engine) : engine_(engine) {}
  size_t keys_read() const { return keys_read_; }
  // Runs before the next commit, once.
  void BeforeCommit(std::function<void()> meanwhile) { meanwhile_ = std::move(meanwhile); }

  Result<std::optional<std::string>> Get(std::string_view key) const override {
    ++keys_read_;
    return engine_.Get(key);
  }
  Result<std::vector<KeyValue>> Scan(std::string_view begin, std::string_view end,
                                     size_t limit) const override {
    auto found = engine_.Scan(begin, end, limit);
    if (found.has_value()) keys_read_ += found->size();
    return found;
  }
  Result<void> Commit(const Batch& batch) override {
    if (const auto meanwhile = std::exchange(meanwhile_, nullptr)) meanwhile();
    return engine_.Commit(batch);
  }
  Result<std::unique_ptr<BlobWriter>> CreateBlob() override { return engine_.CreateBlob(); }
  Result<std::shared_ptr<const ByteSource>> OpenBlob(uint64_t id) const override {
    return engine_.OpenBlob(id);
  }
  Result<void> DeleteBlob(uint64_t id) override { return engine_.DeleteBlob(id); }
  Result<std::vector<uint64_t>> ListBlobs() const override { return engine_.ListBlobs(); }
  Result<std::unique_ptr<EngineLease>> AcquireLease(std::string_view name, std::string_view holder,
                                                    int64_t duration_micros) override {
    return engine_.AcquireLease(name, holder, duration_micros);
  }
  std::shared_ptr<void> Watch(std::string prefix,
                              std::function<void(std::string_view key)> callback) override {
    return engine_.Watch(std::move(prefix), std::move(callback));
  }
  Result<EngineUsage> Usage() const override { return engine_.Usage(); }

 private:
  Engine& engine_;
  std::function<void()> meanwhile_;
  mutable std::atomic<size_t> keys_read_{0};
};

}  // namespace signum
