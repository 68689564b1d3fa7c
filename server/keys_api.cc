#include <nlohmann/json.hpp>

#include "server/app.h"
#include "server/audit_log.h"
#include "server/change.h"
#include "server/handler.h"
#include "server/principal.h"

namespace signum {
namespace {

using nlohmann::json;

Result<json> KeyResource(const KeyRecord& record) {
  SIGNUM_ASSIGN(const PublicKey key, PublicKey::FromBase64(record.public_key));
  json resource = {{"id", key.Id()},
                   {"alg", "ed25519"},
                   {"public", record.public_key},
                   {"created", FormatTime(record.created)},
                   {"retired", record.retired ? json(FormatTime(*record.retired)) : json(nullptr)}};
  if (record.endorsed_by.empty()) return {boost::system::in_place_value, std::move(resource)};
  resource["endorsed_by"] = record.endorsed_by;
  resource["endorsement"] = record.endorsement;
  return {boost::system::in_place_value, std::move(resource)};
}

Result<http::Response> ListKeys(App& app, const http::Request&, const http::Params&) {
  SIGNUM_ASSIGN(const std::vector<KeyRecord> records, app.keys.Keys());
  json keys = json::array();
  for (const KeyRecord& record : records) {
    SIGNUM_ASSIGN(json key, KeyResource(record));
    keys.push_back(std::move(key));
  }
  http::Response response = http::Json(200, json({{"keys", std::move(keys)}}).dump());
  response.Set("Cache-Control", "no-cache");
  return response;
}

Result<http::Response> RotateKey(App& app, const http::Request& request, const http::Params&) {
  SIGNUM_TRY(RequireAdmin(request));
  SIGNUM_ASSIGN(const KeyRecord record, app.keys.Rotate());
  SIGNUM_ASSIGN(const json resource, KeyResource(record));
  Record(app, request, "key.rotate", resource["id"].get<std::string>());
  return http::Json(201, resource.dump());
}

}  // namespace

void AddKeyRoutes(http::Router& router, App& app) {
  router.Add({.method = "GET", .pattern = "/v1/keys", .handler = Ask(app, ListKeys)});
  router.Add({.method = "POST",
              .pattern = "/v1/admin/keys/rotate",
              .handler = Change(app, "key.rotate", RotateKey)});
}

}  // namespace signum
