#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "storage/base/byte_source.h"
#include "storage/base/bytes.h"
#include "storage/base/result.h"

namespace signum::client {

// How much memory the node may hold in arenas. With `slots` it is divided into so many places of
// equal size, whose addresses never change: one range is reserved at the start, and the pages of a
// slot are given back when its arena goes. Thread-safe.
class MemoryBudget {
 public:
  explicit MemoryBudget(uint64_t total, uint64_t slots = 0);
  ~MemoryBudget();
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;

  uint64_t slots() const { return slots_; }
  uint64_t slots_used() const;
  // Whether an arena of so many bytes can be had when all others are gone.
  bool Fits(uint64_t bytes) const { return bytes <= (slots_ > 0 ? slot_bytes_ : total_); }
  uint64_t total() const { return total_; }
  uint64_t used() const { return used_.load(); }
  uint64_t free() const { return total_ - used_.load(); }

 private:
  friend class Arena;
  // Writable memory, zeroed; Give takes it back.
  Result<std::byte*> Take(uint64_t bytes);
  void Give(std::byte* data, uint64_t bytes);
  Result<std::byte*> TakeSlot(uint64_t bytes);
  bool Count(uint64_t bytes);

  const uint64_t total_, slots_, slot_bytes_;
  std::atomic<uint64_t> used_{0};
  mutable std::mutex mutex_;
  std::byte* range_ = nullptr;  // of all slots
  std::vector<size_t> free_slots_;
};

// One piece of anonymous host memory that holds one delta file whole: page-aligned, so that the
// file's data, which begins on a multiple of 256 and is laid out in multiples of it, can be copied
// to a device or used in place. Counted against the budget until it is destroyed.
class Arena final : public ByteSource {
 public:
  static constexpr size_t kAlignment = 256;

  // Errc::kExhausted "memory_budget" names what is asked, free and allowed, "slots_full" how many
  // slots there are; "out_of_memory" where the system has no more.
  static Result<std::shared_ptr<Arena>> Create(std::shared_ptr<MemoryBudget> budget, uint64_t size);
  ~Arena() override;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // Where to fill it, until Seal: from then on a write is a crash, never a changed weight.
  MutableBytes writable() { return {data_, size_}; }
  Result<void> Seal();

  uint64_t size() const override { return size_; }
  Result<void> Read(uint64_t offset, MutableBytes out) const override;
  ConstBytes View() const override { return {data_, size_}; }

 private:
  Arena(std::shared_ptr<MemoryBudget> budget, std::byte* data, size_t size)
      : budget_(std::move(budget)), data_(data), size_(size) {}

  std::shared_ptr<MemoryBudget> budget_;
  std::byte* data_;
  size_t size_;
};

}  // namespace signum::client
