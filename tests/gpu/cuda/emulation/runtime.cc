#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <map>
#include <mutex>
#include <utility>

#include "tests/gpu/cuda/emulation/cublas_v2.h"
#include "tests/gpu/cuda/emulation/cuda_runtime.h"
#include "tests/gpu/cuda/emulation/device_memory.h"
#include "tests/gpu/cuda/emulation/held_event.h"
#include "tests/gpu/cuda/emulation/streams.h"

// The runtime's functions.

namespace {

using signum::emulation::Enqueue;
using signum::emulation::HostRange;
using signum::emulation::IsDevice;

[[noreturn]] void Broken(const char* what) {
  std::fprintf(stderr, "emulated device: %s\n", what);
  std::abort();
}

void MustBeIdle(HostRange host) {
  if (signum::emulation::IsQueued(host)) Broken("page-locked memory goes before the copy from it");
}

// Page-locked memory of the host.
class LockedMemory {
 public:
  // False where a part of it is page-locked already.
  bool Add(const void* memory, size_t bytes) {
    const std::lock_guard lock(mutex_);
    const auto* begin = static_cast<const char*>(memory);
    const auto after = ranges_.lower_bound(begin);
    if (after != ranges_.end() && after->first < begin + bytes) return false;
    if (after != ranges_.begin()) {
      const auto before = std::prev(after);
      if (before->first + before->second > begin) return false;
    }
    return ranges_.emplace(begin, bytes).second;
  }
  // False where none begins there.
  bool Remove(const void* memory) {
    const std::lock_guard lock(mutex_);
    const auto at = ranges_.find(static_cast<const char*>(memory));
    if (at == ranges_.end()) return false;
    MustBeIdle({memory, at->second});
    ranges_.erase(at);
    return true;
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
LockedMemory& Registered() {  // by cudaHostRegister
  static LockedMemory& locked = *new LockedMemory;
  return locked;
}
LockedMemory& Allocated() {  // by cudaMallocHost
  static LockedMemory& locked = *new LockedMemory;
  return locked;
}

constexpr size_t kLarge = size_t{64} << 10;

// Whether the file is there that the variable names: a test's switch.
bool Switched(const char* variable) {
  const char* file = std::getenv(variable);
  return file != nullptr && access(file, F_OK) == 0;
}

// Whether the device gets other bytes than were sent, in copies of kLarge and more.
bool Flips() { return Switched("SIGNUM_EMULATED_FLIP"); }

thread_local cudaError_t last_error = cudaSuccess;
thread_local bool device_set = false;

cudaError_t Remember(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

// With several devices a thread that has not said which would have the first one's.
void NeedDevice() {
  if (!device_set) Broken("a thread that has called no cudaSetDevice uses the device");
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
  if (device != 0) return Remember(cudaErrorInvalidValue);
  device_set = true;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  *value = attribute == cudaDevAttrMultiProcessorCount      ? 4
           : attribute == cudaDevAttrComputeCapabilityMajor ? 9
                                                            : 0;
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  NeedDevice();
  signum::emulation::TellDevice(free, total);
  return cudaSuccess;
}
cudaError_t cudaMalloc(void** memory, size_t bytes) {
  NeedDevice();
  if (signum::emulation::DeviceFailed()) return Remember(cudaErrorIllegalAddress);
  *memory = signum::emulation::TakeDevice(bytes);
  return *memory == nullptr ? Remember(cudaErrorMemoryAllocation) : cudaSuccess;
}
// Does not wait for what is queued: a device would, but does not promise it.
cudaError_t cudaFree(void* memory) {
  const bool known = memory == nullptr || signum::emulation::GiveDevice(memory);
  return known ? cudaSuccess : Remember(cudaErrorInvalidValue);
}
cudaError_t cudaMallocHost(void** memory, size_t bytes) {
  NeedDevice();
  *memory = std::malloc(bytes);
  if (*memory == nullptr) return Remember(cudaErrorMemoryAllocation);
  Allocated().Add(*memory, bytes);
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* memory) {
  if (!Allocated().Remove(memory)) return Remember(cudaErrorInvalidValue);
  std::free(memory);
  return cudaSuccess;
}

cudaError_t cudaHostRegister(void* memory, size_t bytes, unsigned) {
  NeedDevice();
  return Remember(Registered().Add(memory, bytes) ? cudaSuccess
                                                  : cudaErrorHostMemoryAlreadyRegistered);
}
cudaError_t cudaHostUnregister(void* memory) {
  return Remember(Registered().Remove(memory) ? cudaSuccess : cudaErrorInvalidValue);
}
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* memory) {
  const bool locked = Registered().Holds(memory) || Allocated().Holds(memory);
  attributes->type = locked ? cudaMemoryTypeHost : cudaMemoryTypeUnregistered;
  return cudaSuccess;
}

extern "C" __attribute__((visibility("default"))) size_t SignumEmulatedLocked() {
  return Registered().Bytes();
}

// The host's memory is read or written when the copy runs, as from page-locked memory; of other
// memory a device may be done with it sooner, and need not.
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  NeedDevice();
  const bool in = kind == cudaMemcpyHostToDevice;
  const void* host = in ? from : to;
  if (bytes == 0) return cudaSuccess;
  if (!IsDevice(in ? to : from, bytes) || IsDevice(host, 1)) return Remember(cudaErrorInvalidValue);
  const auto copy = [=] {
    std::memcpy(to, from, bytes);
    if (in && bytes >= kLarge && Flips()) static_cast<unsigned char*>(to)[bytes / 2] ^= 1;
  };
  return Remember(Enqueue(stream, copy, {host, bytes}));
}
cudaError_t cudaMemsetAsync(void* memory, int value, size_t bytes, cudaStream_t stream) {
  return cudaMemset2DAsync(memory, bytes, value, bytes, 1, stream);
}
cudaError_t cudaMemset2DAsync(void* memory, size_t pitch, int value, size_t width, size_t height,
                              cudaStream_t stream) {
  NeedDevice();
  if (width == 0 || height == 0) return cudaSuccess;
  if (pitch < width || !IsDevice(memory, (height - 1) * pitch + width)) {
    return Remember(cudaErrorInvalidValue);
  }
  return Remember(Enqueue(stream, [=] {
    for (size_t row = 0; row < height; ++row) {
      std::memset(static_cast<char*>(memory) + row * pitch, value, width);
    }
  }));
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes*, void (*)()) {
  NeedDevice();
  const bool none = std::getenv("SIGNUM_EMULATED_NO_CODE") != nullptr;
  return Remember(none ? cudaErrorNoKernelImageForDevice : cudaSuccess);
}
cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }
const char* cudaGetErrorString(cudaError_t error) {
  if (error == cudaErrorIllegalAddress) return "an illegal memory access was encountered";
  return error == cudaErrorInvalidConfiguration ? "invalid configuration argument"
         : error == cudaErrorMemoryAllocation   ? "out of memory"
         : error == cudaErrorNoKernelImageForDevice
             ? "no kernel image is available for execution on the device"
             : "invalid argument";
}

cudaError_t LaunchEmulated(const cudaLaunchConfig_t& config, std::function<void()> thread) {
  NeedDevice();
  const dim3 grid = config.gridDim;
  const dim3 block = config.blockDim;
  const uint64_t threads = uint64_t{block.x} * block.y * block.z;
  const bool fits = grid.x > 0 && grid.y > 0 && grid.z > 0 && grid.x <= 0x7fffffffU &&
                    grid.y <= 65535 && grid.z <= 65535 && threads > 0 && threads <= 1024 &&
                    config.dynamicSmemBytes == 0;
  if (!fits) return Remember(cudaErrorInvalidConfiguration);
  if (Switched("SIGNUM_EMULATED_FAIL")) signum::emulation::FailDevice();
  return Remember(Enqueue(config.stream, [grid, block, run = std::move(thread)] {
    signum::emulation::RunGrid(grid, block, run);
  }));
}
