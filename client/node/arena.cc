#include "client/node/arena.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

namespace signum::client {

namespace {

class HostMemory final : public MemoryProvider {
 public:
  Result<std::byte*> Map(uint64_t size, bool range) override {
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | (range ? MAP_NORESERVE : 0);
    void* data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (data == MAP_FAILED) {
      return Fail(Errc::kExhausted, "out_of_memory",
                  "the system refuses " + std::to_string(size) + " bytes: " + std::strerror(errno));
    }
    // Fewer faults and TLB misses where the kernel grants it.
    ::madvise(data, size, MADV_HUGEPAGE);
    return static_cast<std::byte*>(data);
  }
  void Unmap(std::byte* data, uint64_t size) override { ::munmap(data, size); }
  void Clear(std::byte* data, uint64_t size) override {
    ::madvise(data, size, MADV_DONTNEED);
    ::mprotect(data, size, PROT_READ | PROT_WRITE);
  }
  uint64_t granule() const override { return static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)); }
  std::string reason() const override { return "memory_budget"; }
  std::string option() const override { return "--memory"; }
};

uint64_t SlotBytes(uint64_t total, uint64_t slots, uint64_t granule) {
  return slots == 0 ? 0 : total / slots / granule * granule;
}

}  // namespace

std::unique_ptr<MemoryProvider> MakeHostMemory() { return std::make_unique<HostMemory>(); }

MemoryBudget::MemoryBudget(uint64_t total, uint64_t slots, std::unique_ptr<MemoryProvider> provider)
    : provider_(std::move(provider)),
      total_(total),
      slots_(slots),
      slot_bytes_(SlotBytes(total, slots, provider_->granule())) {
  for (uint64_t i = slots; i-- > 0;) free_slots_.push_back(i);
}

MemoryBudget::~MemoryBudget() {
  if (range_ != nullptr) provider_->Unmap(range_, slots_ * slot_bytes_);
}

uint64_t MemoryBudget::slots_used() const {
  const std::lock_guard lock(mutex_);
  return slots_ - free_slots_.size();
}

Result<void> MemoryBudget::Count(uint64_t bytes, std::atomic<uint64_t>& as) {
  const std::lock_guard lock(counting_);
  if (bytes <= free()) {
    as += bytes;
    return {};
  }
  return Fail(Errc::kExhausted, provider_->reason(),
              "needs " + std::to_string(bytes) + " bytes, " + std::to_string(free()) + " of " +
                  std::to_string(total_) + " are free (" + provider_->option() + ")");
}

Result<void> MemoryBudget::Charge(uint64_t bytes) {
  if (slots_ == 0) return Count(bytes, beside_);
  beside_ += bytes;
  return {};
}

void MemoryBudget::Discharge(uint64_t bytes) { beside_ -= bytes; }

Result<void> MemoryBudget::ReserveLocked() {
  if (range_ != nullptr || slots_ == 0) return {};
  SIGNUM_ASSIGN(range_, provider_->Map(slots_ * slot_bytes_, true));
  return {};
}

Result<void> MemoryBudget::Reserve() {
  const std::lock_guard lock(mutex_);
  return ReserveLocked();
}

Result<std::byte*> MemoryBudget::TakeSlot(uint64_t bytes) {
  if (bytes > slot_bytes_) {
    return Fail(Errc::kExhausted, provider_->reason(),
                "needs " + std::to_string(bytes) + " bytes, each of " + std::to_string(slots_) +
                    " slots has " + std::to_string(slot_bytes_) + " (" + provider_->option() +
                    ", --slots)");
  }
  const std::lock_guard lock(mutex_);
  if (free_slots_.empty()) {
    return Fail(Errc::kExhausted, "slots_full",
                "all " + std::to_string(slots_) + " slots are taken (--slots)");
  }
  SIGNUM_TRY(ReserveLocked());
  std::byte* data = range_ + free_slots_.back() * slot_bytes_;
  free_slots_.pop_back();
  used_ += bytes;
  return data;
}

Result<std::byte*> MemoryBudget::Take(uint64_t bytes) {
  if (slots_ > 0) return TakeSlot(bytes);
  SIGNUM_TRY(Count(bytes, used_));
  Result<std::byte*> data = provider_->Map(bytes, false);
  if (!data) used_ -= bytes;
  return data;
}

void MemoryBudget::Give(std::byte* data, uint64_t bytes) {
  if (slots_ == 0) {
    provider_->Unmap(data, bytes);
    used_ -= bytes;
    return;
  }
  provider_->Clear(data, slot_bytes_);
  used_ -= bytes;
  const std::lock_guard lock(mutex_);
  free_slots_.push_back(static_cast<size_t>(data - range_) / slot_bytes_);
}

Result<std::shared_ptr<Arena>> Arena::Create(std::shared_ptr<MemoryBudget> budget, uint64_t size) {
  if (size == 0) return Fail(Errc::kInvalid, "empty_delta", "a delta of 0 bytes");
  SIGNUM_ASSIGN(std::byte * data, budget->Take(size));
  return std::shared_ptr<Arena>(new Arena(std::move(budget), data, size));
}

Arena::~Arena() { budget_->Give(data_, size_); }

Result<void> Arena::Seal() {
  if (::mprotect(data_, size_, PROT_READ) == 0) return {};
  return Fail(Errc::kInternal, "io_error", std::string("mprotect: ") + std::strerror(errno));
}

Result<void> Arena::Read(uint64_t offset, MutableBytes out) const {
  SIGNUM_TRY(CheckRange(offset, out.size(), size_));
  if (!out.empty()) std::memcpy(out.data(), data_ + offset, out.size());
  return {};
}

}  // namespace signum::client
