#include "tests/gpu/cuda/emulation/device_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>

#include "tests/support/sanitizers.h"

namespace signum::emulation {
namespace {

constexpr size_t kAlignment = 256;
constexpr size_t kSpace = size_t{1} << 38;      // of addresses: far more than is ever in use
constexpr size_t kPoisoned = size_t{32} << 20;  // larger pieces are left as they are
constexpr size_t kQuarantine = size_t{64} << 20;
#if SIGNUM_ASAN
constexpr bool kOwnHeap = false;
#else
constexpr bool kOwnHeap = true;
#endif

size_t Rounded(size_t bytes) {
  return bytes == 0 ? kAlignment : (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

// 64 GiB, or $SIGNUM_EMULATED_MEMORY bytes.
size_t Total() {
  const char* set = std::getenv("SIGNUM_EMULATED_MEMORY");
  return set == nullptr ? size_t{1} << 36 : std::strtoull(set, nullptr, 10);
}

class Memory {
 public:
  Memory() {
    if (!kOwnHeap) return;
    void* space = mmap(nullptr, kSpace, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (space == MAP_FAILED) std::abort();
    space_ = static_cast<char*>(space);
    if (std::getenv("SIGNUM_EMULATED_SHARED") != nullptr) return;
    key_ = pkey_alloc(0, PKEY_DISABLE_ACCESS);
    if (key_ >= 0 && pkey_mprotect(space, kSpace, PROT_READ | PROT_WRITE, key_) != 0) key_ = -1;
  }

  int key() const { return key_; }

  void* Take(size_t bytes) {
    const DeviceAccess access;
    const std::lock_guard lock(mutex_);
    if (bytes > total_ - used_) return nullptr;
    char* memory = kOwnHeap ? Place(Rounded(bytes))
                            : static_cast<char*>(std::aligned_alloc(kAlignment, Rounded(bytes)));
    if (memory == nullptr) return nullptr;
    used_ += bytes;
    sizes_[memory] = bytes;
    if (bytes <= kPoisoned) std::memset(memory, 0xff, bytes);
    return memory;
  }

  bool Give(void* memory) {
    const DeviceAccess access;
    const std::lock_guard lock(mutex_);
    const auto at = sizes_.find(static_cast<char*>(memory));
    if (at == sizes_.end()) return false;
    const auto [begin, bytes] = *at;
    used_ -= bytes;
    sizes_.erase(at);
    if (!kOwnHeap) {
      std::free(memory);
    } else {
      Quarantine(begin, bytes);
    }
    return true;
  }

  bool Holds(const void* memory, size_t bytes) {
    const std::lock_guard lock(mutex_);
    const auto* begin = static_cast<const char*>(memory);
    auto at = sizes_.upper_bound(const_cast<char*>(begin));
    return at != sizes_.begin() && begin + bytes <= (--at)->first + at->second;
  }

  void Check() {
    const DeviceAccess access;
    const std::lock_guard lock(mutex_);
    for (const auto& [begin, size] : freed_) CheckPoison(begin, size);
  }

  void Tell(size_t* free, size_t* total) {
    const std::lock_guard lock(mutex_);
    *free = total_ - used_;
    *total = total_;
  }

 private:
  // The next place after the last one that was given out: addresses come back late.
  char* Place(size_t size) {
    for (int round = 0; round < 2; ++round) {
      for (auto taken = taken_.lower_bound(next_);; ++taken) {
        const size_t end = taken == taken_.end() ? kSpace : taken->first;
        if (end >= next_ && end - next_ >= size) {
          char* place = space_ + next_;
          taken_[next_] = size;
          next_ += size;
          return place;
        }
        if (taken == taken_.end()) break;
        next_ = taken->first + taken->second;
      }
      next_ = 0;
    }
    return nullptr;
  }

  static void CheckPoison(const char* begin, size_t size) {
    const auto* written =
        std::find_if(begin, begin + size, [](char byte) { return byte != '\xff'; });
    if (written == begin + size) return;
    std::fprintf(stderr, "emulated device: byte %zu of a freed %zu was written\n",
                 static_cast<size_t>(written - begin), size);
    std::abort();
  }

  void Quarantine(char* begin, size_t bytes) {
    if (bytes <= kPoisoned) {
      std::memset(begin, 0xff, bytes);
      freed_.emplace_back(begin, bytes);
      freed_bytes_ += bytes;
    } else {
      Reuse(begin, bytes);
    }
    while (freed_bytes_ > kQuarantine) {
      const auto [oldest, size] = freed_.front();
      freed_.pop_front();
      freed_bytes_ -= size;
      CheckPoison(oldest, size);
      Reuse(oldest, size);
    }
  }

  void Reuse(char* begin, size_t bytes) {
    taken_.erase(static_cast<size_t>(begin - space_));
    constexpr size_t kPage = 4096;
    const auto first = (reinterpret_cast<uintptr_t>(begin) + kPage - 1) / kPage * kPage;
    const auto end = (reinterpret_cast<uintptr_t>(begin) + bytes) / kPage * kPage;
    if (end > first) madvise(reinterpret_cast<void*>(first), end - first, MADV_DONTNEED);
  }

  std::mutex mutex_;
  const size_t total_ = Total();
  size_t used_ = 0;
  int key_ = -1;
  char* space_ = nullptr;
  size_t next_ = 0;
  std::map<size_t, size_t> taken_;  // places of space_, with what is in quarantine
  std::map<char*, size_t> sizes_;
  std::deque<std::pair<char*, size_t>> freed_;
  size_t freed_bytes_ = 0;
};

// Never destroyed: what is freed at the very end still finds it.
Memory& TheMemory() {
  static Memory& memory = *new Memory;
  return memory;
}
thread_local int inside = 0;

}  // namespace

void* TakeDevice(size_t bytes) { return TheMemory().Take(bytes); }
bool GiveDevice(void* memory) { return TheMemory().Give(memory); }
bool IsDevice(const void* memory, size_t bytes) { return TheMemory().Holds(memory, bytes); }
void CheckFreed() { TheMemory().Check(); }
bool IsApart() { return TheMemory().key() >= 0; }
void TellDevice(size_t* free, size_t* total) { TheMemory().Tell(free, total); }

DeviceAccess::DeviceAccess() {
  const int key = TheMemory().key();
  if (inside++ == 0 && key >= 0) pkey_set(key, 0);
}
DeviceAccess::~DeviceAccess() {
  const int key = TheMemory().key();
  if (--inside == 0 && key >= 0) pkey_set(key, PKEY_DISABLE_ACCESS);
}

}  // namespace signum::emulation
