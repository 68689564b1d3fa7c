#pragma once

#include <string>
#include <vector>

#include "gpu/compress.h"
#include "storage/format/checkpoint.h"

namespace signum {

// What a delta would take, told from headers alone.

struct PlanClass {
  std::string name;  // linear, embedding, exact: by the fine-tune's tensors; files: recipe, headers
                     // and small files; header: of the delta file
  uint64_t tensors = 0;
  uint64_t weights = 0;
  uint64_t fine_bytes = 0;
  uint64_t delta_bytes = 0;
};

struct DeltaPlan {
  std::vector<PlanClass> classes;  // in the order above, all of them
  uint64_t upload = 0;             // bytes of all files of the fine-tune
  uint64_t size = 0;               // of the delta file
  double ratio() const { return static_cast<double>(upload) / static_cast<double>(size); }
};

// The size of the delta that CompressCheckpoint makes of a full fine-tune: one of which every
// tensor and every row of an embedding has changed, few weights not at all, and no weight is
// low-rank. Other fine-tunes give smaller deltas. Reads headers, and small files of up to 64 MiB to
// see which the base has too; no tensor. Errors: as CompressCheckpoint for options, names and
// shapes.
Result<DeltaPlan> PlanDelta(const Checkpoint& base, const Checkpoint& fine,
                            const CompressOptions& options);

}  // namespace signum
