#include <nlohmann/json.hpp>

#include "server/app.h"
#include "server/audit_log.h"
#include "server/change.h"
#include "server/fields.h"
#include "server/handler.h"
#include "server/http/conditional.h"
#include "server/principal.h"
#include "server/resources.h"
#include "storage/base/name.h"

namespace signum {
namespace {

using nlohmann::json;

json AliasResource(const AliasRecord& alias) {
  return {{"alias", alias.name},
          {"version", alias.version},
          {"previous", alias.previous == 0 ? json(nullptr) : json(alias.previous)},
          {"updated", FormatTime(alias.updated)},
          {"revision", alias.revision}};
}

std::string EtagOf(const AliasRecord& alias) {
  return http::StrongETag(std::to_string(alias.revision));
}

http::Response AliasResponse(int status, const AliasRecord& alias) {
  http::Response response = http::Json(status, AliasResource(alias).dump());
  response.Set("ETag", EtagOf(alias));
  response.Set("Cache-Control", "no-cache");
  return response;
}

Result<std::optional<AliasRecord>> FindAlias(const App& app, const http::Params& params) {
  auto alias = app.catalog.GetAlias(params[0], params[1], params[2]);
  if (alias.has_value()) return std::optional(*std::move(alias));
  if (alias.error().code == Errc::kNotFound) return std::optional<AliasRecord>();
  return std::move(alias).error();
}

// What the conditions of `request` ask of the alias, as SetAlias and DeleteAlias take it: nullopt
// where there is no condition, else the revision it has now (0 for none), after the conditions were
// found to hold for it. A change in between makes the compare-and-set fail, which is a 412 too.
Result<std::optional<uint64_t>> ExpectedRevision(const App& app, const http::Request& request,
                                                 const http::Params& params) {
  if (request.Header("if-match").empty() && request.Header("if-none-match").empty()) {
    return std::optional<uint64_t>();
  }
  SIGNUM_ASSIGN(const auto alias, FindAlias(app, params));
  const std::string etag = alias ? EtagOf(*alias) : "";
  const auto present = alias ? std::optional<std::string_view>(etag) : std::nullopt;
  if (http::EvaluateConditions(request, present) != http::Verdict::kProceed) {
    return Fail(Errc::kPrecondition, "alias_changed",
                "alias '" + params[2] + "' is not what the request expects: " +
                    (alias ? "it points at version " + std::to_string(alias->version) +
                                 ", its ETag is " + etag
                           : "it does not exist"));
  }
  return std::optional<uint64_t>(alias ? alias->revision : 0);
}

std::string TargetOf(const http::Params& params) {
  return params[0] + "/" + params[1] + "@" + params[2];
}

Result<http::Response> ListAliases(App& app, const http::Request& request,
                                   const http::Params& params) {
  SIGNUM_TRY(RequireRead(request, params[0]));
  SIGNUM_TRY(CheckName("tenant", params[0]));
  SIGNUM_TRY(CheckName("model", params[1]));
  SIGNUM_ASSIGN(const auto aliases, app.catalog.ListAliases(params[0], params[1]));
  json items = json::array();
  for (const AliasRecord& alias : aliases) items.push_back(AliasResource(alias));
  return http::Json(200, json({{"aliases", std::move(items)}, {"next", nullptr}}).dump());
}

Result<http::Response> GetAlias(App& app, const http::Request& request,
                                const http::Params& params) {
  SIGNUM_TRY(RequireRead(request, params[0]));
  SIGNUM_ASSIGN(const AliasRecord alias, app.catalog.GetAlias(params[0], params[1], params[2]));
  return ShowJson(request, AliasResource(alias).dump(), EtagOf(alias));
}

Result<http::Response> PutAlias(App& app, const http::Request& request,
                                const http::Params& params) {
  SIGNUM_TRY(RequirePublish(request, params[0]));
  SIGNUM_TRY(CheckName("alias", params[2]));
  SIGNUM_ASSIGN(Fields fields, Fields::Parse(request));
  SIGNUM_ASSIGN(const uint64_t version, fields.Number("version"));
  SIGNUM_TRY(fields.Done());
  SIGNUM_ASSIGN(const auto before, FindAlias(app, params));
  SIGNUM_ASSIGN(const auto expected, ExpectedRevision(app, request, params));
  SIGNUM_ASSIGN(const AliasRecord alias,
                app.catalog.SetAlias(params[0], params[1], params[2], version, expected));
  Record(app, request, "alias.set", TargetOf(params) + " -> " + std::to_string(version));
  return AliasResponse(before ? 200 : 201, alias);
}

Result<http::Response> DeleteAlias(App& app, const http::Request& request,
                                   const http::Params& params) {
  SIGNUM_TRY(RequirePublish(request, params[0]));
  SIGNUM_ASSIGN(const auto expected, ExpectedRevision(app, request, params));
  SIGNUM_TRY(app.catalog.DeleteAlias(params[0], params[1], params[2], expected));
  Record(app, request, "alias.delete", TargetOf(params));
  http::Response response;
  response.status = 204;
  return response;
}

}  // namespace

void AddAliasRoutes(http::Router& router, App& app) {
  const std::string all = "/v1/tenants/{tenant}/models/{model}/aliases";
  const std::string one = all + "/{alias}";
  router.Add({.method = "GET", .pattern = all, .handler = Ask(app, ListAliases)});
  router.Add({.method = "GET", .pattern = one, .handler = Ask(app, GetAlias)});
  router.Add({.method = "PUT", .pattern = one, .handler = Change(app, "alias.set", PutAlias)});
  router.Add(
      {.method = "DELETE", .pattern = one, .handler = Change(app, "alias.delete", DeleteAlias)});
}

}  // namespace signum
