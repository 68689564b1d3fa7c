#pragma once

#include <memory>
#include <string>

#include "gpu/cuda/module.h"
#include "gpu/ops/backend.h"

namespace signum::cuda {

// Why there is no backend.
struct LoadFailure {
  std::string why;       // one line
  bool present = false;  // driver and module are there, and yet no device opens
};

// Loads the CUDA module, once for the process and for good, and opens a device through it. The
// module is $SIGNUM_CUDA_MODULE where that is set, else libsignum_cuda.so beside the executable,
// else in ../lib/signum from there, else beside the library that calls. Null where it, the driver
// or the device is missing; `failure` then says which. Any thread.
std::unique_ptr<ops::Backend> LoadBackend(const ModuleOptions& options, LoadFailure* failure);

}  // namespace signum::cuda
