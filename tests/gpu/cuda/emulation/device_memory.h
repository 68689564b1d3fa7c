#pragma once

#include <cstddef>

// The emulated device's memory. It is not the host's: who touches it outside of a kernel or a copy
// crashes, as on a device, where the processor has protection keys (and unless a test that reads
// device addresses says SIGNUM_EMULATED_SHARED=1, or under AddressSanitizer, which checks bounds
// instead). What was allocated or freed is full of NaN; a write to freed memory aborts.

namespace signum::emulation {

// Aligned to 256; null where there is too little.
void* TakeDevice(size_t bytes);
// False where no allocation begins there.
bool GiveDevice(void* memory);
// Whether all of it lies in one allocation.
bool IsDevice(const void* memory, size_t bytes);
// Aborts where freed memory was written; so does freeing more, and a stream that goes.
void CheckFreed();
// Whether the host cannot touch it.
bool IsApart();
// Bytes that are free, and all.
void TellDevice(size_t* free, size_t* total);

// Lets the thread at the device's memory while it lives.
class DeviceAccess {
 public:
  DeviceAccess();
  ~DeviceAccess();
  DeviceAccess(const DeviceAccess&) = delete;
  DeviceAccess& operator=(const DeviceAccess&) = delete;
};

}  // namespace signum::emulation
