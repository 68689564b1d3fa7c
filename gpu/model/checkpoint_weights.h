#pragma once

#include <memory>

#include "gpu/model/weights.h"

namespace signum {

// The weights of a checkpoint: float tensors of any dtype, read when asked for.
std::shared_ptr<const WeightSource> MakeCheckpointWeights(
    ops::Backend& backend, std::shared_ptr<const CheckpointSource> checkpoint);

}  // namespace signum
