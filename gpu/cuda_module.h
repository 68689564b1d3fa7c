#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "gpu/ops/backend.h"
#include "storage/base/result.h"

namespace signum {

struct BackendOptions {
  // CUDA products on the tensor cores with 10-bit mantissas: several times faster, about 3e-4 of
  // relative error. Without it they match the CPU's to about 1e-5.
  bool tf32 = false;
  ops::MatMulPrecision cpu_precision = ops::MatMulPrecision::kFp32;  // of the CPU's products
  int serving_threads = 1;  // of the CPU's serving: see MakeCpuBackend

  bool exact_products() const { return !tf32 && cpu_precision == ops::MatMulPrecision::kFp32; }

  bool operator==(const BackendOptions&) const = default;
};

// The options that a name of precision stands for, where it is one:
//   fp32  products in float32
//   fast  what the device has for it: bfloat16 on the CPU (kAuto), TF32 on CUDA
std::optional<BackendOptions> OptionsOfPrecision(std::string_view name);

// Why a device came to be the CPU; all empty where it was not to be another.
struct CpuReason {
  std::string text;  // one line, for the log
  // Whether somebody expected a device: it was named, or is there and does not open.
  bool unexpected = false;
};

// Whether `device` is auto, cpu, cuda or cuda:N.
bool IsDeviceName(std::string_view device);

// Opens what `device` names:
//   auto     the first CUDA device where module, driver and device are there, the CPU otherwise
//   cpu      the CPU
//   cuda:N   that device, cuda the first; or kUnavailable "no_cuda", whose message says what is
//            missing
// Anything else is kInvalid "bad_device". Loads libsignum_cuda.so (gpu/cuda/loader.h says from
// where) unless the device is the CPU. Any thread; the backend's own rules are in backend.h.
Result<std::unique_ptr<ops::Backend>> OpenBackend(const std::string& device,
                                                  const BackendOptions& options = {},
                                                  CpuReason* why_cpu = nullptr);

// The same, but a cuda:N that does not open is the CPU, too, and `why_cpu` says so.
Result<std::unique_ptr<ops::Backend>> OpenBackendOrCpu(const std::string& device,
                                                       const BackendOptions& options,
                                                       CpuReason* why_cpu);

}  // namespace signum
