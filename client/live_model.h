#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "storage/base/digest.h"
#include "storage/base/result.h"

namespace signum::client {

// One model of a tenant's `live`, and of a change of kind "live": what its nodes are to run.
struct LiveModel {
  std::string tenant, model;
  uint64_t version = 0;
  Digest digest;  // of the delta file
  uint64_t size = 0;
  std::string base;
  Digest base_digest;
  std::string url, manifest_url;  // absolute
  Digest manifest_digest;

  bool operator==(const LiveModel&) const = default;
  std::string Name() const { return tenant + "/" + model; }
};

// Reads an entry as the registry answers it; URLs are resolved against the registry's.
// Errc::kInternal "bad_answer" names the field. `tenant` is left to the caller: `live` says it once
// for all.
Result<LiveModel> ParseLiveModel(const nlohmann::json& document, const std::string& registry_url);
nlohmann::json LiveModelToJson(const LiveModel& model);

}  // namespace signum::client
