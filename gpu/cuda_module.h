#pragma once

#include <memory>
#include <string>

#include "gpu/ops/backend.h"
#include "storage/base/result.h"

namespace signum {

struct BackendOptions {
  // CUDA products on the tensor cores with 10-bit mantissas: several times faster, about 3e-4 of
  // relative error. Without it they match the CPU's to about 1e-5.
  bool tf32 = false;
};

// Opens what `device` names:
//   auto     the first CUDA device where module, driver and device are there, the CPU otherwise
//   cpu      the CPU
//   cuda:N   that device, or kUnavailable "no_cuda", whose message says what is missing
// Anything else is kInvalid "bad_device". `why_cpu`, where it is not null, receives one line that
// says why `auto` came to be the CPU, for the log; "" otherwise. Loads libsignum_cuda.so
// (gpu/cuda/loader.h says from where) unless the device is the CPU. Any thread; the backend's own
// rules are in backend.h.
Result<std::unique_ptr<ops::Backend>> OpenBackend(const std::string& device,
                                                  const BackendOptions& options = {},
                                                  std::string* why_cpu = nullptr);

}  // namespace signum
