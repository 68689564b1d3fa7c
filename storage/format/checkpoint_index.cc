#include "storage/format/checkpoint_index.h"

#include <nlohmann/json.hpp>

#include "storage/base/name.h"
#include "storage/format/canonical_json.h"

namespace signum {

Result<CheckpointIndex> ParseCheckpointIndex(std::string_view json, std::string_view file) {
  const auto refuse = [&](const std::string& why) {
    return Fail(Errc::kUnusable, "bad_index", "file '" + Printable(file) + "': " + why);
  };
  const Result<nlohmann::json> value = ParseJson(json);
  if (!value) return refuse(value.error().message);
  if (!value->is_object() || !value->contains("weight_map") ||
      !(*value)["weight_map"].is_object()) {
    return refuse("it has no weight_map object");
  }
  CheckpointIndex index;
  for (const auto& [tensor, shard] : (*value)["weight_map"].items()) {
    if (!shard.is_string()) return refuse("weight_map '" + Printable(tensor) + "' is not a string");
    const auto& name = shard.get_ref<const std::string&>();
    if (!CheckFilePath(name) || !name.ends_with(".safetensors")) {
      return refuse("weight_map '" + Printable(tensor) + "' names '" + Printable(name) +
                    "', which is not the path of a safetensors file");
    }
    index.shard_of.emplace(tensor, name);
  }
  return index;
}

}  // namespace signum
