#pragma once

#include <cstddef>

#include "gpu/ops/backend.h"

namespace signum::ops {

// What bringing deltas to a device, and lending them there to an engine, needs beside DeltaOps:
// page-locked memory of the host, events and streams. Events and streams are the runtime's
// (cudaEvent_t, cudaStream_t), of whoever made them. Any thread may call all but CopyIn and
// RecordEvent, which come in order with the backend's ops.
class TransferOps {
 public:
  virtual ~TransferOps() = default;

  // Page-locks memory of the host, so that the device copies from it by itself. False where the
  // system refuses: then it serves as it is.
  virtual bool LockPages(void* host, size_t bytes) = 0;
  virtual void UnlockPages(void* host) noexcept = 0;  // before it is unmapped, locked or not
  // Copies to the backend's memory, and returns when all is there: straight from page-locked
  // memory, from other through the buffers of StageUpload.
  virtual void CopyIn(void* device, const void* host, size_t bytes) = 0;

  // A new event, after all ops so far; null where there is none to be had.
  virtual void* RecordEvent() = 0;
  // A new event, after `event` as it is recorded now, which may be recorded anew or destroyed from
  // then on, and after those that came from this before. Null where the device refuses.
  virtual void* EventAfter(void* event) = 0;
  // Waits on the host; false where the device has failed.
  virtual bool WaitForEvent(void* event) = 0;
  // What is put on the stream from now on runs after the event, without a wait on the host.
  virtual bool StreamWaits(void* stream, void* event) = 0;
  virtual void DestroyEvent(void* event) noexcept = 0;
};

// The transfers of `backend`, which owns them; null where its memory is the host's.
TransferOps* TransferOpsOf(Backend& backend);

}  // namespace signum::ops
