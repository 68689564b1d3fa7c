#pragma once

#include <map>
#include <string>

#include "storage/base/result.h"

namespace signum {

// A sharded checkpoint's index (model.safetensors.index.json): which shard holds which tensor.
struct CheckpointIndex {
  std::map<std::string, std::string, std::less<>> shard_of;  // tensor name -> shard's file name
};

inline constexpr std::string_view kIndexSuffix = ".safetensors.index.json";

// Parses the index `file` from its JSON text. Errc::kUnusable "bad_index" names what is wrong.
Result<CheckpointIndex> ParseCheckpointIndex(std::string_view json, std::string_view file);

}  // namespace signum
