#pragma once

#include <memory>
#include <string>

#include "gpu/cuda/module.h"
#include "gpu/ops/backend.h"

namespace signum::cuda {

// Null, and why, where the device cannot be used.
std::unique_ptr<ops::Backend> MakeBackend(const ModuleOptions& options, std::string* why);

}  // namespace signum::cuda
