#include "gpu/distill/distill_on_device.h"

namespace signum {
namespace {

bool IsFull(const Result<DistillReport>& done) {
  return done.has_error() && done.error().reason == "device_memory";
}

}  // namespace

Result<DistillReport> DistillOnDevice(std::unique_ptr<ops::Backend> backend,
                                      const Distilling& distilling, const DistillCallback& callback,
                                      std::string& note) {
  DistillOptions options = distilling.options;
  const auto run = [&] {
    return DistillDelta(*backend, distilling.models, distilling.delta, options, distilling.output,
                        callback);
  };
  Result<DistillReport> done = run();
  if (!IsFull(done)) return done;
  note = done.error().message + "; layers are streamed";
  options.memory_bytes = 1;
  done = run();
  if (!IsFull(done) || backend->name() == "cpu") return done;
  note = done.error().message + "; distilled on the CPU";
  options.memory_bytes = distilling.options.memory_bytes;
  backend = ops::MakeCpuBackend();
  return run();
}

}  // namespace signum
