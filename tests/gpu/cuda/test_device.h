#pragma once

#include <memory>

#include "gpu/ops/backend.h"

namespace signum {

// The emulated CUDA device, whose work is as late as it may be; or, where $SIGNUM_TEST_DEVICE names
// one (cuda:0), a real one, on a machine that has it. A failure, and null, where there is none.
std::unique_ptr<ops::Backend> OpenTestDevice();

bool TestDeviceIsReal();

}  // namespace signum
