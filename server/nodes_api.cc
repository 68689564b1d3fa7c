#include <map>
#include <nlohmann/json.hpp>

#include "server/app.h"
#include "server/change.h"
#include "server/fields.h"
#include "server/handler.h"
#include "server/principal.h"
#include "storage/base/name.h"
#include "storage/format/canonical_json.h"

namespace signum {
namespace {

using nlohmann::json;

constexpr size_t kMaxText = 1000;      // bytes of a device's name or of a reason
constexpr size_t kMaxModels = 10'000;  // of one report

// ---- what a node says of itself, checked field by field: what is kept is what was checked

Result<std::string> ShortText(Fields& fields, std::string_view name) {
  SIGNUM_ASSIGN(const auto text, fields.OptionalString(name));
  if (text && text->size() > kMaxText) return fields.Bad(name, "at most 1000 bytes");
  return text.value_or("");
}

Result<json> ParseMemory(Fields& report) {
  const json* value = report.Find("memory");
  if (value == nullptr) return {boost::system::in_place_value, nullptr};
  SIGNUM_ASSIGN(Fields fields, Fields::Of(*value, "memory."));
  SIGNUM_ASSIGN(const uint64_t free, fields.Number("free"));
  SIGNUM_ASSIGN(const uint64_t total, fields.Number("total"));
  SIGNUM_TRY(fields.Done());
  return {boost::system::in_place_value, json({{"free", free}, {"total", total}})};
}

// One model of a report. A node speaks of the tenants that it reads, of no others.
Result<json> ParseModel(const http::Request& request, const json& value, size_t index) {
  SIGNUM_ASSIGN(Fields fields, Fields::Of(value, "models[" + std::to_string(index) + "]."));
  json model;
  SIGNUM_ASSIGN(const std::string tenant, fields.String("tenant"));
  SIGNUM_TRY(CheckName("tenant", tenant));
  SIGNUM_TRY(RequireRead(request, tenant));
  SIGNUM_ASSIGN(const std::string name, fields.String("model"));
  SIGNUM_TRY(CheckName("model", name));
  SIGNUM_ASSIGN(const uint64_t version, fields.Number("version"));
  SIGNUM_ASSIGN(const auto digest, fields.OptionalString("digest"));
  if (digest && Digest::FromText(*digest).has_error()) {
    return fields.Bad("digest", "sha256: and 64 hex digits");
  }
  SIGNUM_ASSIGN(const std::string state, fields.String("state"));
  if (state != "applied" && state != "refused" && state != "loading") {
    return fields.Bad("state", "applied, refused or loading");
  }
  SIGNUM_ASSIGN(const std::string reason, ShortText(fields, "reason"));
  SIGNUM_TRY(fields.Done());
  model = {{"tenant", tenant}, {"model", name}, {"version", version}, {"state", state}};
  model["digest"] = digest ? json(*digest) : json(nullptr);
  if (!reason.empty()) model["reason"] = reason;
  return {boost::system::in_place_value, std::move(model)};
}

Result<json> ParseReport(const http::Request& request) {
  SIGNUM_ASSIGN(Fields fields, Fields::Parse(request));
  json report;
  SIGNUM_ASSIGN(const std::string device, ShortText(fields, "device"));
  report["device"] = device;
  SIGNUM_ASSIGN(report["memory"], ParseMemory(fields));
  SIGNUM_ASSIGN(const json* models, fields.Array("models"));
  if (models->size() > kMaxModels) return fields.Bad("models", "at most 10000");
  report["models"] = json::array();
  for (size_t i = 0; i < models->size(); ++i) {
    SIGNUM_ASSIGN(json model, ParseModel(request, (*models)[i], i));
    report["models"].push_back(std::move(model));
  }
  SIGNUM_TRY(fields.Done());
  return {boost::system::in_place_value, std::move(report)};
}

// ---- what everybody else is told of it

// Versions that are live, looked up once a tenant.
class LiveVersions {
 public:
  explicit LiveVersions(const Catalog& catalog) : catalog_(catalog) {}

  // null where nothing of the model is live.
  Result<json> Of(const std::string& tenant, const std::string& model) {
    auto found = tenants_.find(tenant);
    if (found == tenants_.end()) {
      SIGNUM_ASSIGN(const auto live, catalog_.Live(tenant));
      found = tenants_.emplace(tenant, Versions()).first;
      for (const LiveModel& entry : live) found->second[entry.model] = entry.version.version;
    }
    const auto version = found->second.find(model);
    if (version == found->second.end()) return {boost::system::in_place_value, nullptr};
    return {boost::system::in_place_value, version->second};
  }

 private:
  using Versions = std::map<std::string, uint64_t>;
  const Catalog& catalog_;
  std::map<std::string, Versions> tenants_;
};

bool MaySee(const Principal& caller, const std::string& tenant) {
  return caller.MayAudit() || caller.MayRead(tenant);
}

// The node as `caller` may see it: only models of tenants that the caller reaches.
Result<json> NodeResource(const NodeRecord& node, const Principal& caller, LiveVersions& live) {
  SIGNUM_ASSIGN(const json report, ParseJson(node.report_json));
  json models = json::array();
  bool node_lags = false;
  for (json model : report["models"]) {
    const std::string tenant = model["tenant"];
    if (!MaySee(caller, tenant)) continue;
    SIGNUM_ASSIGN(model["live_version"], live.Of(tenant, model["model"]));
    const bool lag = model["state"] != "applied" || model["version"] != model["live_version"];
    model["lag"] = lag;
    node_lags = node_lags || lag;
    models.push_back(std::move(model));
  }
  return {boost::system::in_place_value, json({{"node", node.name},
                                               {"seen", FormatTime(node.seen)},
                                               {"device", report["device"]},
                                               {"memory", report["memory"]},
                                               {"models", std::move(models)},
                                               {"lag", node_lags}})};
}

// A name belongs to the token that first used it as long as that token is there: nobody can speak
// for another's node.
Result<void> CheckOwner(const App& app, const Principal& caller, const std::string& name) {
  if (caller.IsAdmin()) return {};
  SIGNUM_ASSIGN(const auto known, app.accounts.FindNode(name));
  if (!known || known->token_id == caller.id) return {};
  SIGNUM_ASSIGN(const auto tokens, app.accounts.ListTokens());
  for (const TokenRecord& token : tokens) {
    const bool expired = token.expires && *token.expires <= app.clock.Now();
    if (token.id == known->token_id && !expired) {
      return Fail(Errc::kConflict, "node_taken",
                  "node '" + name + "' reports with another token (" + token.id + ")");
    }
  }
  return {};
}

Result<void> RequireNode(const http::Request& request) {
  const Principal& caller = Caller(request);
  if (caller.role == Role::kNode) return {};
  return RequireAdmin(request);
}

Result<http::Response> PutNode(App& app, const http::Request& request, const http::Params& params) {
  SIGNUM_TRY(RequireNode(request));
  SIGNUM_TRY(CheckName("node", params[0]));
  SIGNUM_ASSIGN(const json report, ParseReport(request));
  const Principal& caller = Caller(request);
  SIGNUM_TRY(CheckOwner(app, caller, params[0]));
  const NodeRecord node{params[0], caller.id, report.dump(), app.clock.Now()};
  SIGNUM_TRY(app.accounts.PutNode(node));
  LiveVersions live(app.catalog);
  SIGNUM_ASSIGN(const json resource, NodeResource(node, caller, live));
  return http::Json(200, resource.dump());
}

bool Reaches(const Principal& caller, const NodeRecord& node, const json& resource) {
  return caller.MayAudit() || node.token_id == caller.id || !resource["models"].empty();
}

Result<http::Response> ListNodes(App& app, const http::Request& request, const http::Params&) {
  SIGNUM_ASSIGN(const Page page, PageOf(request));
  SIGNUM_ASSIGN(const auto nodes, app.accounts.ListNodes());
  LiveVersions live(app.catalog);
  json items = json::array();
  std::string last;
  for (const NodeRecord& node : nodes) {
    if (node.name <= page.after || items.size() >= page.limit) continue;
    SIGNUM_ASSIGN(json resource, NodeResource(node, Caller(request), live));
    if (!Reaches(Caller(request), node, resource)) continue;
    items.push_back(std::move(resource));
    last = node.name;
  }
  return ListResponse("nodes", std::move(items), page, last);
}

}  // namespace

void AddNodeRoutes(http::Router& router, App& app) {
  // A heartbeat replaces itself, so it needs no Idempotency-Key and is no line of the audit log.
  router.Add({.method = "PUT", .pattern = "/v1/nodes/{node}", .handler = Ask(app, PutNode)});
  router.Add({.method = "GET", .pattern = "/v1/nodes", .handler = Ask(app, ListNodes)});
}

}  // namespace signum
