#pragma once

#include <memory>
#include <string>

#include "gpu/cuda/module.h"
#include "gpu/ops/backend.h"

namespace signum::cuda {

// Loads the CUDA module, once for the process and for good, and opens a device through it. The
// module is $SIGNUM_CUDA_MODULE where that is set, else libsignum_cuda.so beside the executable,
// else in ../lib/signum from there. Null where it, the driver or the device is missing; `why` is
// then one line that says which. Any thread.
std::unique_ptr<ops::Backend> LoadBackend(const ModuleOptions& options, std::string* why);

}  // namespace signum::cuda
