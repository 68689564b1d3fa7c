#include <cstdlib>
#include <map>
#include <mutex>
#include <utility>

#include "tests/gpu/cuda/emulation/cublas_v2.h"
#include "tests/gpu/cuda/emulation/cuda_runtime.h"

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
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = new EmulatedStream;
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new EmulatedEvent;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) { return cudaSuccess; }
cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }

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

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind,
                            cudaStream_t) {
  if (bytes > 0) std::memcpy(to, from, bytes);
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
