#pragma once

#include <cstddef>

// What a test does with the emulated device that a program would not; also found in the emulated
// module with dlsym.

extern "C" {

// A cudaEvent_t that has not passed until SignumEmulatedPass.
void* SignumEmulatedHeldEvent();
void SignumEmulatedPass(void* event);
// A cudaStream_t, and for how many events it has waited; -1 where there is no such stream.
void* SignumEmulatedStream();
int SignumEmulatedWaits(void* stream);
// Bytes of the host's memory that cudaHostRegister has page-locked.
size_t SignumEmulatedLocked();
// Work runs lazily from now on (streams.h), or at once again: 0.
void SignumEmulatedLazy(unsigned seed);
}
