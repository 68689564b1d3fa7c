#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "gpu/rebuilt_matrix.h"
#include "storage/format/checkpoint.h"

namespace signum {

// What a delta stores of an adapted weight.
using AdapterFactors = std::map<std::string, LowrankSource, std::less<>>;

// A PEFT LoRA adapter put on its base: the checkpoint of the base's files in which the adapted
// weights are W_base + scale · B A, as FORMAT.md defines lowrank, computed as they are read.
struct MergedAdapter {
  std::shared_ptr<const Checkpoint> checkpoint;
  std::shared_ptr<const AdapterFactors> factors;  // for CompressOptions
};

// `base_files` are all of the base's. Errors: those of ParseAdapter; Errc::kUnusable
// architecture_mismatch (names the weight that the base lacks or has in another shape).
Result<MergedAdapter> MergeAdapter(const std::vector<CheckpointFile>& base_files,
                                   const Checkpoint& adapter);

}  // namespace signum
