#include "client/live_model.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "client/answer_fields.h"
#include "client/http_client.h"
#include "storage/base/name.h"

namespace signum::client {

using nlohmann::json;

namespace {

constexpr size_t kMaxUrl = 2048;

// A URL that an answer names. It stands in messages, so it must be legible.
Result<std::string> JsonUrl(const json& document, const char* key,
                            const std::string& registry_url) {
  SIGNUM_ASSIGN(const std::string text, JsonString(document, key));
  const bool legible = text.size() <= kMaxUrl && std::all_of(text.begin(), text.end(), [](char c) {
                         return c > 0x20 && c < 0x7f;
                       });
  if (legible) return ResolveUrl(registry_url, text);
  return Fail(Errc::kInternal, "bad_answer",
              "the registry's answer has no URL as '" + std::string(key) + "'");
}

}  // namespace

Result<LiveModel> ParseLiveModel(const json& document, const std::string& registry_url) {
  LiveModel out;
  SIGNUM_ASSIGN(out.model, JsonString(document, "model"));
  SIGNUM_TRY(CheckName("model", out.model));
  SIGNUM_ASSIGN(out.version, JsonNumber(document, "version"));
  SIGNUM_ASSIGN(out.digest, JsonDigest(document, "digest"));
  SIGNUM_ASSIGN(out.size, JsonNumber(document, "size"));
  SIGNUM_ASSIGN(out.base, JsonString(document, "base"));
  SIGNUM_TRY(CheckName("base", out.base));
  SIGNUM_ASSIGN(out.base_digest, JsonDigest(document, "base_digest"));
  SIGNUM_ASSIGN(out.manifest_digest, JsonDigest(document, "manifest_digest"));
  SIGNUM_ASSIGN(out.url, JsonUrl(document, "url", registry_url));
  SIGNUM_ASSIGN(out.manifest_url, JsonUrl(document, "manifest_url", registry_url));
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
