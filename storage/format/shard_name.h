#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace signum {

// The usual name of one of several shards: "model-00002-of-00005.safetensors".
struct ShardName {
  std::string stem;  // "model", with its folder
  size_t count = 0;  // 5

  std::string Sibling(size_t number) const;  // the path of shard `number`, from 1
};
std::optional<ShardName> SplitShardName(std::string_view path);

}  // namespace signum
