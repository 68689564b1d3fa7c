#include <nlohmann/json.hpp>

#include "server/app.h"
#include "server/audit_log.h"
#include "server/change.h"
#include "server/fields.h"
#include "server/handler.h"
#include "server/http/conditional.h"
#include "server/principal.h"
#include "storage/base/name.h"
#include "storage/retention.h"

// What an admin sets for a tenant: how long its versions are kept.

namespace signum {
namespace {

using nlohmann::json;

constexpr uint64_t kMaxAge = 100ull * 365 * 24 * 3600;

json RuleOrNull(uint64_t rule) { return rule == 0 ? json(nullptr) : json(rule); }

json PolicyResource(const RetentionPolicy& policy) {
  return {{"keep_last", RuleOrNull(policy.keep_last)},
          {"max_age", RuleOrNull(static_cast<uint64_t>(policy.max_age_seconds))},
          {"keep_aliases", policy.keep_aliases},
          {"keep_exact", policy.keep_exact}};
}

struct Shown {
  std::string body, etag;
};

Result<Shown> Show(const App& app, const std::string& tenant) {
  SIGNUM_ASSIGN(const auto policy, GetPolicy(app.engine, tenant));
  Shown shown;
  shown.body =
      json({{"tenant", tenant}, {"policy", PolicyResource(policy.value_or(RetentionPolicy()))}})
          .dump();
  shown.etag = http::StrongETag(Sha256::Of(AsBytes(shown.body)).Hex().substr(0, 32));
  return shown;
}

// The whole policy: a rule that is absent is not set.
Result<RetentionPolicy> ReadPolicy(const json& object) {
  SIGNUM_ASSIGN(Fields fields, Fields::Of(object, "policy."));
  RetentionPolicy policy;
  if (fields.Find("keep_last") != nullptr) {
    SIGNUM_ASSIGN(policy.keep_last, fields.Number("keep_last"));
    if (policy.keep_last == 0)
      return fields.Bad("keep_last", "1 or more, or null for no such rule");
  }
  if (fields.Find("max_age") != nullptr) {
    SIGNUM_ASSIGN(const uint64_t seconds, fields.Number("max_age"));
    if (seconds == 0 || seconds > kMaxAge) {
      return fields.Bad("max_age", "seconds, 1 or more, or null for no such rule");
    }
    policy.max_age_seconds = static_cast<int64_t>(seconds);
  }
  SIGNUM_ASSIGN(policy.keep_aliases, fields.Bool("keep_aliases", true));
  SIGNUM_ASSIGN(policy.keep_exact, fields.Bool("keep_exact", true));
  SIGNUM_TRY(fields.Done());
  return policy;
}

Result<http::Response> GetTenant(App& app, const http::Request& request,
                                 const http::Params& params) {
  SIGNUM_TRY(RequireAdmin(request));
  SIGNUM_TRY(CheckName("tenant", params[0]));
  SIGNUM_ASSIGN(Shown shown, Show(app, params[0]));
  return ShowJson(request, std::move(shown.body), shown.etag);
}

// A tenant need not have anything yet. What the body does not name stays as it is.
Result<http::Response> PutTenant(App& app, const http::Request& request,
                                 const http::Params& params) {
  SIGNUM_TRY(RequireAdmin(request));
  SIGNUM_TRY(CheckName("tenant", params[0]));
  SIGNUM_ASSIGN(Fields body, Fields::Parse(request));
  const json* policy_field = body.Find("policy");
  SIGNUM_TRY(body.Done());
  SIGNUM_ASSIGN(const Shown before, Show(app, params[0]));
  SIGNUM_TRY(CheckConditions(request, before.etag));
  if (policy_field != nullptr) {
    SIGNUM_ASSIGN(const RetentionPolicy policy, ReadPolicy(*policy_field));
    SIGNUM_TRY(PutPolicy(app.engine, params[0], policy));
    Record(app, request, "tenant.policy", params[0] + " " + PolicyResource(policy).dump());
  }
  SIGNUM_ASSIGN(Shown shown, Show(app, params[0]));
  http::Response response = http::Json(200, std::move(shown.body));
  response.Set("ETag", shown.etag);
  return response;
}

}  // namespace

void AddTenantRoutes(http::Router& router, App& app) {
  constexpr auto kTenant = "/v1/admin/tenants/{tenant}";
  router.Add({"GET", kTenant, Ask(app, GetTenant)});
  router.Add({"PUT", kTenant, Change(app, "tenant.set", PutTenant)});
}

}  // namespace signum
