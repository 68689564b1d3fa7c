#pragma once

#include <memory>
#include <string>

#include "gpu/distill/distill.h"

namespace signum {

// What DistillDelta takes.
struct Distilling {
  const DeltaModels& models;
  const std::shared_ptr<const DeltaReader>& delta;
  const DistillOptions& options;
  const std::filesystem::path& output;
};

// DistillDelta on a device; where its memory does not suffice, with layers streamed through it;
// where not even that does, on the CPU. `note` receives the last of these and why, and is left
// alone where the device sufficed. Errors as DistillDelta: device_memory only from the CPU.
Result<DistillReport> DistillOnDevice(ops::Backend& device, const Distilling& distilling,
                                      const DistillCallback& callback, std::string& note);

}  // namespace signum
