#include "gpu/cuda_module.h"

#include <charconv>
#include <optional>
#include <string_view>

#include "gpu/cuda/loader.h"

namespace signum {
namespace {

constexpr std::string_view kCudaPrefix = "cuda:";

// N of "cuda:N".
std::optional<int> CudaIndex(std::string_view device) {
  if (!device.starts_with(kCudaPrefix)) return std::nullopt;
  device.remove_prefix(kCudaPrefix.size());
  int index = 0;
  const auto [end, error] = std::from_chars(device.data(), device.data() + device.size(), index);
  const bool whole = error == std::errc() && end == device.data() + device.size() && index >= 0;
  return whole ? std::optional<int>(index) : std::nullopt;
}

}  // namespace

Result<std::unique_ptr<ops::Backend>> OpenBackend(const std::string& device,
                                                  const BackendOptions& options,
                                                  std::string* why_cpu) {
  if (why_cpu != nullptr) why_cpu->clear();
  if (device == "cpu") return ops::MakeCpuBackend();
  const bool automatic = device == "auto";
  const std::optional<int> index = automatic ? 0 : CudaIndex(device);
  if (!index.has_value()) {
    return Fail(Errc::kInvalid, "bad_device",
                "device '" + device + "' is none of auto, cpu and cuda:N");
  }
  std::string why;
  auto backend = cuda::LoadBackend({*index, options.tf32}, &why);
  if (backend != nullptr) return backend;
  if (!automatic) return Fail(Errc::kUnavailable, "no_cuda", device + ": " + why);
  if (why_cpu != nullptr) *why_cpu = "running on the CPU: " + why;
  return ops::MakeCpuBackend();
}

}  // namespace signum
