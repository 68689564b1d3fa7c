#pragma once

#include "gpu/compress.h"

namespace signum {

// What CompressCheckpoint refuses before it looks at a weight.

// Errc::kInvalid bad_codec, bad_planes, bad_budget, bad_device.
Result<void> CheckOptions(const CompressOptions& options);
// Names that would mean two things in the delta file: Errc::kUnusable name_collision.
Result<void> CheckNames(const CheckpointSource& fine);
// A tensor's shape against the base's, which a vocabulary may outgrow: Errc::kUnusable
// architecture_mismatch.
Result<void> CheckShape(const TensorInfo& base, const TensorInfo& fine);

}  // namespace signum
