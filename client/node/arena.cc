#include "client/node/arena.h"

#include <sys/mman.h>

#include <cstring>

namespace signum::client {

bool MemoryBudget::Take(uint64_t bytes) {
  uint64_t used = used_.load();
  do {
    if (bytes > total_ - used) return false;
  } while (!used_.compare_exchange_weak(used, used + bytes));
  return true;
}

Result<std::shared_ptr<Arena>> Arena::Create(std::shared_ptr<MemoryBudget> budget, uint64_t size) {
  if (size == 0) return Fail(Errc::kInvalid, "empty_delta", "a delta of 0 bytes");
  if (!budget->Take(size)) {
    return Fail(Errc::kExhausted, "memory_budget",
                "needs " + std::to_string(size) + " bytes, " + std::to_string(budget->free()) +
                    " of " + std::to_string(budget->total()) + " are free (--memory)");
  }
  void* data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) {
    budget->Give(size);
    return Fail(Errc::kExhausted, "out_of_memory",
                "the system refuses " + std::to_string(size) + " bytes: " + std::strerror(errno));
  }
  ::madvise(data, size, MADV_HUGEPAGE);  // fewer faults and TLB misses where the kernel grants it
  return std::shared_ptr<Arena>(new Arena(std::move(budget), static_cast<std::byte*>(data), size));
}

Arena::~Arena() {
  ::munmap(data_, size_);
  budget_->Give(size_);
}

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
