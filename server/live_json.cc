#include "server/live_json.h"

#include <nlohmann/json.hpp>

#include "server/handler.h"
#include "server/resources.h"

namespace signum {

using nlohmann::json;

json LiveEntry(const http::Request& request, const VersionRecord& version) {
  const std::string path = VersionPath(version);
  return {{"model", version.model},
          {"version", version.version},
          {"digest", DigestOrNull(version.delta)},
          {"size", version.delta_bytes},
          {"base", version.base},
          {"base_digest", version.base_digest.Text()},
          {"url", Link(request, path + "/delta")},
          {"manifest_url", Link(request, path + "/manifest")},
          {"manifest_digest", DigestOrNull(version.manifest)}};
}

}  // namespace signum
