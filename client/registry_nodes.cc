// What nodes ask of a registry, and tell it.

#include <nlohmann/json.hpp>
#include <set>

#include "client/answer_fields.h"
#include "client/registry_call.h"

namespace signum::client {

using nlohmann::json;

namespace {

// The most that these answers take; a body can swell to many times its length as JSON.
constexpr uint64_t kMaxLiveBytes = 16u << 20;  // some 25,000 models
constexpr uint64_t kMaxWatchBytes = 8u << 20;  // a registry sends 1,000 changes at a time
constexpr uint64_t kMaxKeysBytes = 1u << 20;
constexpr size_t kMaxKeys = 1000;

Result<Change> ParseChange(const json& document, const std::string& registry_url) {
  Change out;
  SIGNUM_ASSIGN(out.seq, JsonNumber(document, "seq"));
  SIGNUM_ASSIGN(const std::string tenant, JsonString(document, "tenant"));
  SIGNUM_ASSIGN(const std::string kind, JsonString(document, "kind"));
  out.removed = kind == "removed";
  if (out.removed) {
    SIGNUM_ASSIGN(out.model.model, JsonString(document, "model"));
  } else {
    SIGNUM_ASSIGN(out.model, ParseLiveModel(document, registry_url));
  }
  out.model.tenant = tenant;
  return out;
}

// The feed's numbers must lie behind the place that was asked for and not past the answer's own: a
// node that believed others would leave out the changes that come next.
Result<void> CheckNumbers(const WatchAnswer& answer, uint64_t since) {
  bool sane = answer.seq >= since;
  for (const Change& change : answer.changes) {
    sane = sane && change.seq > since && change.seq <= answer.seq;
  }
  if (sane) return {};
  return Fail(Errc::kInternal, "bad_answer",
              "/v1/watch: the numbers of the feed do not follow " + std::to_string(since));
}

}  // namespace

Result<LiveState> Registry::Live(const std::string& tenant, const LiveState* known) {
  Call call{.path = "/v1/tenants/" + EscapeSegment(tenant) + "/live", .max_body = kMaxLiveBytes};
  call.conditional = known != nullptr && !known->etag.empty();
  if (call.conditional) call.headers.emplace_back("If-None-Match", known->etag);
  SIGNUM_ASSIGN(const HttpResponse response, SendRetrying(call));
  if (response.status == 304) return *known;
  SIGNUM_ASSIGN(const json document, AnswerJson(call, response));
  LiveState out;
  out.etag = response.Header("etag");
  SIGNUM_ASSIGN(out.seq, JsonNumber(document, "seq"));
  SIGNUM_ASSIGN(const json* models, JsonArray(document, "models"));
  std::set<std::string> names;
  for (const json& item : *models) {
    SIGNUM_ASSIGN(LiveModel model, ParseLiveModel(item, options_.url));
    if (!names.insert(model.model).second) {
      return Fail(Errc::kInternal, "bad_answer",
                  call.path + " names the model '" + model.model + "' twice");
    }
    model.tenant = tenant;
    out.models.push_back(std::move(model));
  }
  return out;
}

Result<WatchAnswer> Registry::Watch(const std::vector<std::string>& tenants, uint64_t since,
                                    std::chrono::seconds wait) {
  HttpRequest request;
  request.url =
      "/v1/watch?since=" + std::to_string(since) + "&wait=" + std::to_string(wait.count());
  for (const std::string& tenant : tenants) request.url += "&tenant=" + EscapeSegment(tenant);
  request.timeout = wait + std::chrono::seconds{30};
  request.max_body = kMaxWatchBytes;
  SIGNUM_ASSIGN(const HttpResponse response, Send(request));  // the caller loops and backs off
  if (!response.ok()) return ErrorFromResponse(response, "GET /v1/watch");
  SIGNUM_ASSIGN(const json document, AnswerJson({.path = "/v1/watch"}, response));
  WatchAnswer out;
  SIGNUM_ASSIGN(out.seq, JsonNumber(document, "seq"));
  SIGNUM_ASSIGN(const json* changes, JsonArray(document, "changes"));
  for (const json& item : *changes) {
    SIGNUM_ASSIGN(Change change, ParseChange(item, options_.url));
    out.changes.push_back(std::move(change));
  }
  SIGNUM_TRY(CheckNumbers(out, since));
  return out;
}

Result<void> Registry::PutNode(const std::string& node, const json& report) {
  SIGNUM_TRY(SendRetrying({.method = "PUT",
                           .path = "/v1/nodes/" + EscapeSegment(node),
                           .body = report.dump(-1, ' ', false, json::error_handler_t::replace)}));
  return {};
}

Result<json> Registry::ListNodes() { return GetList("/v1/nodes", "nodes"); }

Result<std::vector<RegistryKey>> Registry::Keys() {
  SIGNUM_ASSIGN(const json document, SendJson({.path = "/v1/keys", .max_body = kMaxKeysBytes}));
  SIGNUM_ASSIGN(const json* keys, JsonArray(document, "keys"));
  if (keys->size() > kMaxKeys) {
    return Fail(Errc::kInternal, "bad_answer",
                "/v1/keys lists more than " + std::to_string(kMaxKeys) + " keys");
  }
  std::vector<RegistryKey> out;
  for (const json& item : *keys) {
    if (JsonStringOr(item, "alg", "") != "ed25519") continue;
    SIGNUM_ASSIGN(const std::string text, JsonString(item, "public"));
    SIGNUM_ASSIGN(PublicKey key, PublicKey::FromBase64(text));
    std::string endorsement;
    if (!Base64Decode(JsonStringOr(item, "endorsement", ""), &endorsement)) endorsement.clear();
    out.push_back({JsonStringOr(item, "id", ""), std::move(key), std::move(endorsement)});
  }
  return out;
}

}  // namespace signum::client
