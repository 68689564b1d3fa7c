#include "gpu/cuda_module.h"

#include <charconv>
#include <string_view>

#include "gpu/cuda/loader.h"
#include "storage/base/name.h"

namespace signum {
namespace {

constexpr std::string_view kCudaPrefix = "cuda:";

// N of "cuda:N"; "cuda" is the first.
std::optional<int> CudaIndex(std::string_view device) {
  if (device == "cuda") return 0;
  if (!device.starts_with(kCudaPrefix)) return std::nullopt;
  device.remove_prefix(kCudaPrefix.size());
  int index = 0;
  const auto [end, error] = std::from_chars(device.data(), device.data() + device.size(), index);
  const bool whole = error == std::errc() && end == device.data() + device.size() && index >= 0;
  return whole ? std::optional<int>(index) : std::nullopt;
}

}  // namespace

std::optional<BackendOptions> OptionsOfPrecision(std::string_view name) {
  if (name == "fp32") return BackendOptions{};
  if (name == "fast") return BackendOptions{true, ops::MatMulPrecision::kAuto};
  return std::nullopt;
}

bool IsDeviceName(std::string_view device) {
  return device == "auto" || device == "cpu" || CudaIndex(device).has_value();
}

Result<std::unique_ptr<ops::Backend>> OpenBackend(const std::string& device,
                                                  const BackendOptions& options,
                                                  CpuReason* why_cpu) {
  if (why_cpu != nullptr) *why_cpu = {};
  if (!IsDeviceName(device)) {
    return Fail(Errc::kInvalid, "bad_device",
                "device '" + Printable(device) + "' is none of auto, cpu and cuda:N");
  }
  if (device == "cpu") return ops::MakeCpuBackend(options.cpu_precision, options.serving_threads);
  cuda::LoadFailure failure;
  auto backend = cuda::LoadBackend({CudaIndex(device).value_or(0), options.tf32}, &failure);
  if (backend != nullptr) return backend;
  if (device != "auto") return Fail(Errc::kUnavailable, "no_cuda", device + ": " + failure.why);
  if (why_cpu != nullptr) *why_cpu = {"running on the CPU: " + failure.why, failure.present};
  return ops::MakeCpuBackend(options.cpu_precision, options.serving_threads);
}

Result<std::unique_ptr<ops::Backend>> OpenBackendOrCpu(const std::string& device,
                                                       const BackendOptions& options,
                                                       CpuReason* why_cpu) {
  auto backend = OpenBackend(device, options, why_cpu);
  if (backend || backend.error().reason != "no_cuda") return backend;
  *why_cpu = {"running on the CPU: " + backend.error().message, true};
  return ops::MakeCpuBackend(options.cpu_precision, options.serving_threads);
}

}  // namespace signum
