#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace signum::cuda {

// One device, the stream that all its work goes through, and the first thing that went wrong.
// Nothing here waits but Wait() and what says so; calls come from one thread at a time.
class Context {
 public:
  // Null where the device cannot be used; `why` says it.
  static Context* Open(int device, std::string* why);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  int device() const { return device_; }
  cudaStream_t stream() const { return stream_; }

  // Makes the device the calling thread's, as all calls of the runtime need.
  void Use() { Check(cudaSetDevice(device_), "cudaSetDevice"); }
  void Check(cudaError_t error, const char* what) {
    if (error != cudaSuccess) Fail(std::string(what) + ": " + cudaGetErrorString(error));
  }
  void Fail(std::string what) {
    if (error_.empty()) error_ = std::move(what);
  }
  void Wait() { Check(cudaStreamSynchronize(stream_), "cudaStreamSynchronize"); }
  // Waits, and forgets the error.
  std::string TakeError();

  // Memory for the op at hand, the same at every call: null, and an error, where there is too
  // little. Ops that follow on the stream may use it again.
  void* Scratch(size_t bytes);

  // One block a unit of work; none is none. `kernel` gets `args` as its own parameter types.
  template <class... Parameters, class... Arguments>
  void Launch(const char* what, int64_t blocks, unsigned threads, void (*kernel)(Parameters...),
              Arguments&&... args) {
    if (blocks <= 0) return;
    if (blocks > kMostBlocks) return Fail(std::string(what) + ": too large for one launch");
    cudaLaunchConfig_t config{};
    config.gridDim = dim3(static_cast<unsigned>(blocks));
    config.blockDim = dim3(threads);
    config.stream = stream_;
    Check(cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(args)...), what);
  }
  // Threads enough for n elements in a loop over the grid (device.cuh, GlobalThread).
  int64_t BlocksFor(int64_t n, unsigned threads) const;

 private:
  static constexpr int64_t kMostBlocks = 0x7fffffff;
  Context() = default;

  int device_ = 0;
  int multiprocessors_ = 1;
  cudaStream_t stream_ = nullptr;
  void* scratch_ = nullptr;
  size_t scratch_size_ = 0;
  std::string error_;
};

}  // namespace signum::cuda
