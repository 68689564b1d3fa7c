#pragma once

#include <functional>

#include "tests/gpu/cuda/emulation/cuda_runtime.h"

// Queues of the emulated device's streams. Work on a stream runs in order; between streams only
// events make an order. It runs at once where it can, or lazily ($SIGNUM_EMULATED_LAZY, a seed;
// SignumEmulatedLazy): as late as a synchronization allows, here and there earlier, the streams in
// random turns, so that what is missing between two streams shows, or between a stream and the
// host.

namespace signum::emulation {

// Memory of the host that queued work is at.
struct HostRange {
  const void* begin = nullptr;
  size_t bytes = 0;
};

cudaError_t Enqueue(cudaStream_t stream, std::function<void()> run, HostRange host = {});
// From now on nothing runs, and who waits gets an error.
void FailDevice();
bool DeviceFailed();
// Whether queued work is at any of it.
bool IsQueued(HostRange host);

}  // namespace signum::emulation
