#include <unistd.h>

#include <cstdlib>
#include <map>
#include <mutex>
#include <utility>

#include "tests/gpu/cuda/emulation/cublas_v2.h"
#include "tests/gpu/cuda/emulation/cuda_runtime.h"
#include "tests/gpu/cuda/emulation/held_event.h"

// The runtime's functions over the host's memory.

namespace {

constexpr size_t kAlignment = 256;

// The device's memory: 64 GiB, or $SIGNUM_EMULATED_MEMORY bytes.
class Memory {
 public:
  Memory() {
    const char* set = std::getenv("SIGNUM_EMULATED_MEMORY");
    if (set != nullptr) total_ = std::strtoull(set, nullptr, 10);
  }

  void* Take(size_t bytes) {
    const std::lock_guard lock(mutex_);
    if (bytes > total_ - used_) return nullptr;
    void* memory =
        std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
    if (memory == nullptr) return nullptr;
    used_ += bytes;
    sizes_[memory] = bytes;
    return memory;
  }
  void Give(void* memory) {
    const std::lock_guard lock(mutex_);
    const auto at = sizes_.find(memory);
    if (at == sizes_.end()) return;
    used_ -= at->second;
    sizes_.erase(at);
    std::free(memory);
  }
  void Tell(size_t* free, size_t* total) {
    const std::lock_guard lock(mutex_);
    *free = total_ - used_;
    *total = total_;
  }

 private:
  std::mutex mutex_;
  size_t total_ = size_t{1} << 36;
  size_t used_ = 0;
  std::map<void*, size_t> sizes_;
};

// Never destroyed: what is freed at the very end still finds it.
Memory& DeviceMemory() {
  static Memory& memory = *new Memory;
  return memory;
}

// Page-locked memory of the host.
class LockedMemory {
 public:
  bool Add(const void* memory, size_t bytes) {
    const std::lock_guard lock(mutex_);
    return ranges_.emplace(static_cast<const char*>(memory), bytes).second;
  }
  bool Remove(const void* memory) {
    const std::lock_guard lock(mutex_);
    return ranges_.erase(static_cast<const char*>(memory)) > 0;
  }
  size_t Bytes() {
    const std::lock_guard lock(mutex_);
    size_t sum = 0;
    for (const auto& [begin, bytes] : ranges_) sum += bytes;
    return sum;
  }
  bool Holds(const void* memory) {
    const std::lock_guard lock(mutex_);
    const auto* byte = static_cast<const char*>(memory);
    auto after = ranges_.upper_bound(byte);
    return after != ranges_.begin() && byte < (--after)->first + after->second;
  }

 private:
  std::mutex mutex_;
  std::map<const char*, size_t> ranges_;
};
LockedMemory& Locked() {
  static LockedMemory& locked = *new LockedMemory;
  return locked;
}

constexpr size_t kLarge = size_t{64} << 10;

// Whether the device gets other bytes than were sent, in copies of kLarge and more: as long as the
// file that $SIGNUM_EMULATED_FLIP names is there. For tests alone.
bool Flips() {
  const char* file = std::getenv("SIGNUM_EMULATED_FLIP");
  return file != nullptr && access(file, F_OK) == 0;
}

thread_local cudaError_t last_error = cudaSuccess;

cudaError_t Remember(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

}  // namespace

unsigned __ballot_sync(unsigned mask, bool condition) {
  unsigned bits = 0;
  for (int lane = 0; lane < 32; ++lane) {
    bits |= static_cast<unsigned>(__shfl_sync(mask, condition ? 1 : 0, lane)) << lane;
  }
  return bits;
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  return Remember(device == 0 ? cudaSuccess : cudaErrorInvalidValue);
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  *value = attribute == cudaDevAttrMultiProcessorCount      ? 4
           : attribute == cudaDevAttrComputeCapabilityMajor ? 9
                                                            : 0;
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  DeviceMemory().Tell(free, total);
  return cudaSuccess;
}
cudaError_t cudaMalloc(void** memory, size_t bytes) {
  *memory = DeviceMemory().Take(bytes);
  return *memory == nullptr ? Remember(cudaErrorMemoryAllocation) : cudaSuccess;
}
cudaError_t cudaFree(void* memory) {
  DeviceMemory().Give(memory);
  return cudaSuccess;
}
cudaError_t cudaMallocHost(void** memory, size_t bytes) {
  *memory = std::malloc(bytes);
  return *memory == nullptr ? Remember(cudaErrorMemoryAllocation) : cudaSuccess;
}
cudaError_t cudaFreeHost(void* memory) {
  std::free(memory);
  return cudaSuccess;
}

cudaError_t cudaHostRegister(void* memory, size_t bytes, unsigned) {
  return Remember(Locked().Add(memory, bytes) ? cudaSuccess : cudaErrorInvalidValue);
}
cudaError_t cudaHostUnregister(void* memory) {
  return Remember(Locked().Remove(memory) ? cudaSuccess : cudaErrorInvalidValue);
}
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* memory) {
  attributes->type = Locked().Holds(memory) ? cudaMemoryTypeHost : cudaMemoryTypeUnregistered;
  return cudaSuccess;
}

extern "C" __attribute__((visibility("default"))) size_t SignumEmulatedLocked() {
  return Locked().Bytes();
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t) {
  if (bytes > 0) std::memcpy(to, from, bytes);
  if (kind == cudaMemcpyHostToDevice && bytes >= kLarge && Flips()) {
    static_cast<unsigned char*>(to)[bytes / 2] ^= 1;
  }
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* memory, int value, size_t bytes, cudaStream_t) {
  if (bytes > 0) std::memset(memory, value, bytes);
  return cudaSuccess;
}
cudaError_t cudaMemset2DAsync(void* memory, size_t pitch, int value, size_t width, size_t height,
                              cudaStream_t) {
  for (size_t row = 0; row < height; ++row) {
    std::memset(static_cast<char*>(memory) + row * pitch, value, width);
  }
  return cudaSuccess;
}

cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }
const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaErrorInvalidConfiguration ? "invalid configuration argument"
         : error == cudaErrorMemoryAllocation   ? "out of memory"
                                                : "invalid argument";
}

cudaError_t LaunchEmulated(const cudaLaunchConfig_t& config, const std::function<void()>& thread) {
  const dim3 grid = config.gridDim;
  const dim3 block = config.blockDim;
  const uint64_t threads = uint64_t{block.x} * block.y * block.z;
  const bool fits = grid.x > 0 && grid.y > 0 && grid.z > 0 && grid.x <= 0x7fffffffU &&
                    grid.y <= 65535 && grid.z <= 65535 && threads > 0 && threads <= 1024 &&
                    config.dynamicSmemBytes == 0;
  if (!fits) return Remember(cudaErrorInvalidConfiguration);
  signum::emulation::RunGrid(grid, block, thread);
  return cudaSuccess;
}
