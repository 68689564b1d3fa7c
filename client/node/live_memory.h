#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "client/live_model.h"
#include "storage/base/result.h"

namespace signum::client {

// The last `live` list of each tenant, on disk: what a node serves when it starts and the registry
// is away. One file a tenant, DIR/<tenant>.json.
class LiveMemory {
 public:
  explicit LiveMemory(std::filesystem::path directory) : directory_(std::move(directory)) {}

  Result<void> Remember(const std::string& tenant, const std::vector<LiveModel>& live) const;
  // Errc::kNotFound where nothing is remembered, kCorrupt "bad_live_file" where the file is
  // damaged.
  Result<std::vector<LiveModel>> Recall(const std::string& tenant) const;

 private:
  std::filesystem::path directory_;
};

}  // namespace signum::client
