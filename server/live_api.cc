#include <algorithm>
#include <nlohmann/json.hpp>

#include "server/app.h"
#include "server/change.h"
#include "server/handler.h"
#include "server/http/conditional.h"
#include "server/live_json.h"
#include "server/principal.h"
#include "storage/base/name.h"

namespace signum {
namespace {

using nlohmann::json;

// ---- what a tenant's nodes run

Result<http::Response> GetLive(App& app, const http::Request& request, const http::Params& params) {
  SIGNUM_TRY(CheckName("tenant", params[0]));
  SIGNUM_TRY(RequireRead(request, params[0]));
  // The sequence first: a change in between is then seen twice rather than never.
  SIGNUM_ASSIGN(const uint64_t seq, app.catalog.FeedSeq());
  SIGNUM_ASSIGN(const auto live, app.catalog.Live(params[0]));
  json models = json::array();
  for (const LiveModel& model : live) models.push_back(LiveEntry(request, model.version));
  std::string body =
      json({{"seq", seq}, {"tenant", params[0]}, {"models", std::move(models)}}).dump();
  const std::string etag = http::StrongETag(Sha256::Of(AsBytes(body)).Hex().substr(0, 32));
  return ShowJson(request, std::move(body), etag);
}

// ---- tenants and models

// The names of a token's own tenants after `page.after`, as ListTenants would give them.
std::vector<std::string> OwnTenants(const Principal& caller, const Page& page) {
  std::vector<std::string> names = caller.tenants;
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  names.erase(names.begin(), std::upper_bound(names.begin(), names.end(), page.after));
  if (names.size() > page.limit) names.resize(page.limit);
  return names;
}

Result<http::Response> ListTenants(App& app, const http::Request& request, const http::Params&) {
  SIGNUM_ASSIGN(const Page page, PageOf(request));
  std::vector<std::string> names;
  if (Caller(request).MayAudit()) {
    SIGNUM_ASSIGN(names, app.catalog.ListTenants(page.after, page.limit));
  } else {
    names = OwnTenants(Caller(request), page);
  }
  const std::string last = names.empty() ? "" : names.back();
  return ListResponse("tenants", names, page, last);
}

Result<uint64_t> CountVersions(const Catalog& catalog, std::string_view tenant,
                               std::string_view model) {
  constexpr size_t kPage = 1000;
  uint64_t count = 0;
  uint64_t after = 0;
  for (;;) {
    SIGNUM_ASSIGN(const auto versions, catalog.ListVersions(tenant, model, after, kPage));
    count += versions.size();
    if (versions.size() < kPage) return count;
    after = versions.back().version;
  }
}

json AliasVersion(const std::vector<AliasRecord>& aliases, std::string_view name) {
  for (const AliasRecord& alias : aliases) {
    if (alias.name == name) return alias.version;
  }
  return nullptr;
}

Result<http::Response> ListModels(App& app, const http::Request& request,
                                  const http::Params& params) {
  SIGNUM_TRY(RequireRead(request, params[0]));
  SIGNUM_TRY(CheckName("tenant", params[0]));
  SIGNUM_ASSIGN(const Page page, PageOf(request));
  SIGNUM_ASSIGN(const auto names, app.catalog.ListModels(params[0], page.after, page.limit));
  json items = json::array();
  for (const std::string& name : names) {
    SIGNUM_ASSIGN(const auto aliases, app.catalog.ListAliases(params[0], name));
    SIGNUM_ASSIGN(const uint64_t versions, CountVersions(app.catalog, params[0], name));
    items.push_back({{"model", name},
                     {"latest", AliasVersion(aliases, "latest")},
                     {"live", AliasVersion(aliases, "live")},
                     {"versions", versions}});
  }
  const std::string last = names.empty() ? "" : names.back();
  return ListResponse("models", std::move(items), page, last);
}

Result<http::Response> GetModel(App& app, const http::Request& request,
                                const http::Params& params) {
  SIGNUM_TRY(RequireRead(request, params[0]));
  SIGNUM_ASSIGN(const uint64_t versions, CountVersions(app.catalog, params[0], params[1]));
  if (versions == 0) {
    return Fail(Errc::kNotFound, "unknown_model",
                "tenant '" + params[0] + "' has no model '" + params[1] + "'");
  }
  SIGNUM_ASSIGN(const auto records, app.catalog.ListAliases(params[0], params[1]));
  json aliases = json::array();
  for (const AliasRecord& alias : records) {
    aliases.push_back({{"alias", alias.name}, {"version", alias.version}});
  }
  return http::Json(200, json({{"tenant", params[0]},
                               {"model", params[1]},
                               {"versions", versions},
                               {"aliases", std::move(aliases)}})
                             .dump());
}

}  // namespace

void AddLiveRoutes(http::Router& router, App& app) {
  const std::string tenant = "/v1/tenants/{tenant}";
  router.Add({.method = "GET", .pattern = tenant + "/live", .handler = Ask(app, GetLive)});
  router.Add({.method = "GET", .pattern = "/v1/tenants", .handler = Ask(app, ListTenants)});
  router.Add({.method = "GET", .pattern = tenant + "/models", .handler = Ask(app, ListModels)});
  router.Add(
      {.method = "GET", .pattern = tenant + "/models/{model}", .handler = Ask(app, GetModel)});
}

}  // namespace signum
