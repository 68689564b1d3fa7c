#include "server/live_json.h"

#include <nlohmann/json.hpp>

#include "server/handler.h"
#include "server/resources.h"

namespace signum {

using nlohmann::json;

namespace {

// By digest, because such an answer never changes: any HTTP cache on the way may keep it.
json BlobLink(const http::Request& request, const std::optional<Digest>& digest) {
  if (!digest) return nullptr;
  return Link(request, "/v1/blobs/" + digest->Text());
}

}  // namespace

json LiveEntry(const http::Request& request, const VersionRecord& version) {
  return {{"model", version.model},
          {"version", version.version},
          {"digest", DigestOrNull(version.delta)},
          {"size", version.delta_bytes},
          {"base", version.base},
          {"base_digest", version.base_digest.Text()},
          {"url", BlobLink(request, version.delta)},
          {"manifest_url", BlobLink(request, version.manifest)},
          {"manifest_digest", DigestOrNull(version.manifest)}};
}

}  // namespace signum
