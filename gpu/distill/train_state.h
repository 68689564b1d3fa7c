#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "gpu/distill/scale_trainer.h"

namespace signum {

// What a file was made for. A job may train several deltas of one fine-tune (one at one bit, and
// one with exact embeddings where a gate refused that): they share the rows, and nothing else.
struct TrainingKey {
  std::string rows;   // the fine-tune, and how it is calibrated and trained
  std::string delta;  // the tensors that are trained
};

// A training's state in a file, so that a killed job goes on: the calibration rows and, once steps
// were made, scales and moments. A safetensors file; one of other rows is as good as none, and so
// is the state of another delta.
struct SavedTraining {
  TokenRows rows;
  std::optional<TrainState> state;
};

Result<void> SaveTraining(const std::filesystem::path& file, const TrainingKey& key,
                          const SavedTraining& saved);
// Nothing where there is no such file, it is of other rows or damaged; no state where that is of
// another delta.
std::optional<SavedTraining> LoadTraining(const std::filesystem::path& file,
                                          const TrainingKey& key);

}  // namespace signum
