#include "client/live_model.h"

#include <nlohmann/json.hpp>

#include "client/answer_fields.h"
#include "client/http_client.h"
#include "storage/base/name.h"

namespace signum::client {

using nlohmann::json;

Result<LiveModel> ParseLiveModel(const json& document, const std::string& registry_url) {
  LiveModel out;
  SIGNUM_ASSIGN(out.model, JsonString(document, "model"));
  SIGNUM_TRY(CheckName("model", out.model));
  SIGNUM_ASSIGN(out.version, JsonNumber(document, "version"));
  SIGNUM_ASSIGN(out.digest, JsonDigest(document, "digest"));
  SIGNUM_ASSIGN(out.size, JsonNumber(document, "size"));
  SIGNUM_ASSIGN(out.base, JsonString(document, "base"));
  SIGNUM_ASSIGN(out.base_digest, JsonDigest(document, "base_digest"));
  SIGNUM_ASSIGN(out.manifest_digest, JsonDigest(document, "manifest_digest"));
  SIGNUM_ASSIGN(const std::string url, JsonString(document, "url"));
  SIGNUM_ASSIGN(const std::string manifest_url, JsonString(document, "manifest_url"));
  SIGNUM_ASSIGN(out.url, ResolveUrl(registry_url, url));
  SIGNUM_ASSIGN(out.manifest_url, ResolveUrl(registry_url, manifest_url));
  return out;
}

json LiveModelToJson(const LiveModel& model) {
  return {{"model", model.model},
          {"version", model.version},
          {"digest", model.digest.Text()},
          {"size", model.size},
          {"base", model.base},
          {"base_digest", model.base_digest.Text()},
          {"url", model.url},
          {"manifest_url", model.manifest_url},
          {"manifest_digest", model.manifest_digest.Text()}};
}

}  // namespace signum::client
