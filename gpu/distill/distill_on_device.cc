#include "gpu/distill/distill_on_device.h"

namespace signum {
namespace {

bool IsFull(const Result<DistillReport>& done) {
  return done.has_error() && done.error().reason == "device_memory";
}

}  // namespace

Result<DistillReport> DistillOnDevice(ops::Backend& device, const Distilling& distilling,
                                      const DistillCallback& callback, std::string& note) {
  DistillOptions options = distilling.options;
  const auto run = [&](ops::Backend& backend) {
    return DistillDelta(backend, distilling.models, distilling.delta, options, distilling.output,
                        callback);
  };
  Result<DistillReport> done = run(device);
  if (!IsFull(done)) return done;
  note = done.error().message + "; layers are streamed";
  if (options.kept != nullptr) options.kept->Clear();
  options.kept = nullptr;
  options.memory_bytes = 1;
  done = run(device);
  if (!IsFull(done) || device.name() == "cpu") return done;
  note = done.error().message + "; distilled on the CPU";
  options.memory_bytes = distilling.options.memory_bytes;
  return run(*ops::MakeCpuBackend());
}

}  // namespace signum
