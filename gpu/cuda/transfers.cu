#include "gpu/cuda/transfers.cuh"

namespace signum::cuda {

Transfers::~Transfers() {
  if (after_ != nullptr) cudaStreamDestroy(after_);
}

bool Transfers::Done(cudaError_t error) {
  if (error == cudaSuccess) return true;
  cudaGetLastError();
  return false;
}

// Whoever waits for it sleeps.
cudaEvent_t Transfers::NewEvent() {
  cudaEvent_t event = nullptr;
  constexpr unsigned kFlags = cudaEventDisableTiming | cudaEventBlockingSync;
  return Done(cudaEventCreateWithFlags(&event, kFlags)) ? event : nullptr;
}

bool Transfers::LockPages(void* host, size_t bytes) {
  Use();
  return Done(cudaHostRegister(host, bytes, cudaHostRegisterPortable));
}

void Transfers::UnlockPages(void* host) noexcept {
  Use();
  Done(cudaHostUnregister(host));
}

bool Transfers::Locked(const void* host) {
  cudaPointerAttributes attributes{};
  return Done(cudaPointerGetAttributes(&attributes, host)) && attributes.type == cudaMemoryTypeHost;
}

void* Transfers::RecordEvent() {
  context_.Use();
  const cudaEvent_t event = NewEvent();
  if (event != nullptr) {
    context_.Check(cudaEventRecord(event, context_.stream()), "cudaEventRecord");
  }
  return event;
}

void* Transfers::EventAfter(void* event) {
  const std::lock_guard lock(mutex_);
  Use();
  if (after_ == nullptr && !Done(cudaStreamCreateWithFlags(&after_, cudaStreamNonBlocking))) {
    return nullptr;
  }
  const cudaEvent_t out = NewEvent();
  if (out == nullptr) return nullptr;
  if (Done(cudaStreamWaitEvent(after_, static_cast<cudaEvent_t>(event), 0)) &&
      Done(cudaEventRecord(out, after_))) {
    return out;
  }
  DestroyEvent(out);
  return nullptr;
}

bool Transfers::WaitForEvent(void* event) {
  Use();
  return Done(cudaEventSynchronize(static_cast<cudaEvent_t>(event)));
}

bool Transfers::StreamWaits(void* stream, void* event) {
  Use();
  return Done(
      cudaStreamWaitEvent(static_cast<cudaStream_t>(stream), static_cast<cudaEvent_t>(event), 0));
}

void Transfers::DestroyEvent(void* event) noexcept {
  Use();
  Done(cudaEventDestroy(static_cast<cudaEvent_t>(event)));
}

}  // namespace signum::cuda
