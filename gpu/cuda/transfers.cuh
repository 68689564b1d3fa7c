#pragma once

#include <mutex>

#include "gpu/cuda/context.cuh"
#include "gpu/ops/transfer_ops.h"

namespace signum::cuda {

// TransferOps of one device, but for CopyIn. Uses `context` in RecordEvent alone.
class Transfers : public ops::TransferOps {
 public:
  explicit Transfers(Context& context) : context_(context), device_(context.device()) {}
  ~Transfers() override;
  Transfers(const Transfers&) = delete;
  Transfers& operator=(const Transfers&) = delete;

  bool LockPages(void* host, size_t bytes) override;
  void UnlockPages(void* host) noexcept override;
  void* RecordEvent() override;
  void* EventAfter(void* event) override;
  bool WaitForEvent(void* event) override;
  bool StreamWaits(void* stream, void* event) override;
  void DestroyEvent(void* event) noexcept override;

 protected:
  static bool Locked(const void* host);

 private:
  // Makes the device the calling thread's; whether a call there has succeeded, forgetting why not:
  // these are answers, not the context's errors.
  void Use() const { cudaSetDevice(device_); }
  static bool Done(cudaError_t error);
  static cudaEvent_t NewEvent();

  Context& context_;
  const int device_;
  std::mutex mutex_;
  cudaStream_t after_ = nullptr;  // that waits for the events of others
};

}  // namespace signum::cuda
