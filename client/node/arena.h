#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "storage/base/byte_source.h"
#include "storage/base/bytes.h"
#include "storage/base/result.h"

namespace signum::client {

// Memory that a budget is of. Thread-safe, Map perhaps under a lock of its own.
class MemoryProvider {
 public:
  virtual ~MemoryProvider() = default;
  // Writable, zeroed where it is the host's, aligned to 256. Errc::kExhausted where the system has
  // no more. `range`: of slots, of which most may stay empty.
  virtual Result<std::byte*> Map(uint64_t size, bool range) = 0;
  virtual void Unmap(std::byte* data, uint64_t size) = 0;
  // A slot of mapped memory is not needed for now.
  virtual void Clear(std::byte* data, uint64_t size) = 0;
  virtual uint64_t granule() const = 0;  // slots are multiples of it
  // What refuses where a budget is used up, and the option that sets it.
  virtual std::string reason() const = 0;
  virtual std::string option() const = 0;
};
std::unique_ptr<MemoryProvider> MakeHostMemory();  // pages: "memory_budget", --memory

// How much memory the node may hold in deltas. With `slots` it is divided into so many places of
// equal size, whose addresses never change: one range is reserved at the start, and the pages of a
// slot are given back when its arena goes. Thread-safe where its provider is.
class MemoryBudget {
 public:
  explicit MemoryBudget(uint64_t total, uint64_t slots = 0,
                        std::unique_ptr<MemoryProvider> provider = MakeHostMemory());
  ~MemoryBudget();
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;

  uint64_t slots() const { return slots_; }
  uint64_t slots_used() const;
  // Whether an arena of so many bytes can be had when all others are gone.
  bool Fits(uint64_t bytes) const { return bytes <= (slots_ > 0 ? slot_bytes_ : total_); }
  uint64_t total() const { return total_; }
  uint64_t used() const { return used_.load(); }
  uint64_t beside() const { return beside_.load(); }  // what Charge has counted
  uint64_t free() const { return total_ - std::min(total_, Counted()); }

  // Memory that Give takes back, with as many bytes. Errc::kExhausted: the provider's reason()
  // names what is asked, free and allowed, "slots_full" how many slots there are.
  Result<std::byte*> Take(uint64_t bytes);
  void Give(std::byte* data, uint64_t bytes);
  // Counts `bytes` that are taken elsewhere for what lies here: against the total, or, where there
  // are slots, whose range is the total, without a bound. Errc::kExhausted as Take.
  Result<void> Charge(uint64_t bytes);
  void Discharge(uint64_t bytes);
  // Maps the range of the slots, if there are any, before the first is taken.
  Result<void> Reserve();

 private:
  Result<std::byte*> TakeSlot(uint64_t bytes);
  Result<void> ReserveLocked();
  // Of the total.
  uint64_t Counted() const { return used_ + (slots_ > 0 ? 0 : beside_.load()); }
  Result<void> Count(uint64_t bytes, std::atomic<uint64_t>& as);

  const std::unique_ptr<MemoryProvider> provider_;
  const uint64_t total_, slots_, slot_bytes_;
  std::atomic<uint64_t> used_{0}, beside_{0};
  std::mutex counting_;  // held while used_ or beside_ grows
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

  // Errc::kExhausted as MemoryBudget::Take; "out_of_memory" where the system has no more.
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
