#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "gpu/distill/scale_trainer.h"

namespace signum {

// A training's state in a file, so that a killed job goes on: the calibration rows and, once steps
// were made, scales and moments. A safetensors file; `key` names what is trained and how, and a
// file of another key is as good as none.
struct SavedTraining {
  TokenRows rows;
  std::optional<TrainState> state;
};

Result<void> SaveTraining(const std::filesystem::path& file, const std::string& key,
                          const SavedTraining& saved);
// Nothing where there is no such file, it is of another key or damaged.
std::optional<SavedTraining> LoadTraining(const std::filesystem::path& file,
                                          const std::string& key);

}  // namespace signum
