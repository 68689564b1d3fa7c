#include <nlohmann/json.hpp>

#include "server/app.h"
#include "server/audit_log.h"
#include "server/change.h"
#include "server/fields.h"
#include "server/handler.h"
#include "server/http/conditional.h"
#include "server/principal.h"
#include "storage/base/name.h"
#include "storage/quota.h"
#include "storage/retention.h"

// What an admin sets for a tenant: how long its versions are kept, and how much it may use.

namespace signum {
namespace {

using nlohmann::json;

constexpr uint64_t kMaxAge = 100ull * 365 * 24 * 3600;
constexpr double kMostRequests = 1e6;  // a second: as --quota-requests
constexpr double kLeastRequests = 1e-3;

json RuleOrNull(uint64_t rule) { return rule == 0 ? json(nullptr) : json(rule); }

json PolicyResource(const RetentionPolicy& policy) {
  return {{"keep_last", RuleOrNull(policy.keep_last)},
          {"max_age", RuleOrNull(static_cast<uint64_t>(policy.max_age_seconds))},
          {"keep_aliases", policy.keep_aliases},
          {"keep_exact", policy.keep_exact}};
}

template <class T>
json OrNull(const std::optional<T>& limit) {
  return limit ? json(*limit) : json(nullptr);
}

json QuotaResource(const Quota& quota) {
  return {{"max_bytes", OrNull(quota.max_bytes)},
          {"max_versions", OrNull(quota.max_versions)},
          {"max_jobs", OrNull(quota.max_jobs)},
          {"requests_per_second", OrNull(quota.requests_per_second)},
          {"burst", OrNull(quota.burst)}};
}

struct Shown {
  std::string body, etag;
};

Result<Shown> Show(const App& app, const std::string& tenant) {
  SIGNUM_ASSIGN(const auto policy, GetPolicy(app.engine, tenant));
  SIGNUM_ASSIGN(const TenantUsage usage, app.quotas.UsageOf(tenant));
  const json resource = {
      {"tenant", tenant},
      {"policy", PolicyResource(policy.value_or(RetentionPolicy()))},
      {"quota", QuotaResource(app.quotas.Get(tenant))},
      {"in_force", QuotaResource(app.quotas.InForce(tenant))},
      {"usage", {{"bytes", usage.bytes}, {"versions", usage.versions}, {"jobs", usage.jobs}}}};
  Shown shown;
  shown.body = resource.dump();
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

Result<std::optional<uint64_t>> ReadLimit(Fields& fields, std::string_view name) {
  if (fields.Find(name) == nullptr) return std::optional<uint64_t>();
  SIGNUM_ASSIGN(const uint64_t limit, fields.Number(name));
  return std::optional(limit);
}

Result<std::optional<double>> ReadRate(Fields& fields, std::string_view name) {
  const json* rate = fields.Find(name);
  if (rate == nullptr) return std::optional<double>();
  if (!rate->is_number() || *rate < kLeastRequests || *rate > kMostRequests) {
    return fields.Bad(name, "a number from 0.001 to 1000000, or null for the server's default");
  }
  return std::optional(rate->get<double>());
}

// The whole quota: a limit that is absent is the server's default.
Result<Quota> ReadQuota(const json& object) {
  SIGNUM_ASSIGN(Fields fields, Fields::Of(object, "quota."));
  Quota quota;
  SIGNUM_ASSIGN(quota.max_bytes, ReadLimit(fields, "max_bytes"));
  SIGNUM_ASSIGN(quota.max_versions, ReadLimit(fields, "max_versions"));
  SIGNUM_ASSIGN(quota.max_jobs, ReadLimit(fields, "max_jobs"));
  SIGNUM_ASSIGN(quota.requests_per_second, ReadRate(fields, "requests_per_second"));
  SIGNUM_ASSIGN(quota.burst, ReadLimit(fields, "burst"));
  if (quota.burst == 0) return fields.Bad("burst", "1 or more, or null for the server's default");
  SIGNUM_TRY(fields.Done());
  return quota;
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
  const json* quota_field = body.Find("quota");
  SIGNUM_TRY(body.Done());
  std::optional<RetentionPolicy> policy;  // both are read before either is set
  if (policy_field != nullptr) {
    SIGNUM_ASSIGN(policy, ReadPolicy(*policy_field));
  }
  std::optional<Quota> quota;
  if (quota_field != nullptr) {
    SIGNUM_ASSIGN(quota, ReadQuota(*quota_field));
  }
  const auto alone = app.quotas.Lock(params[0]);
  SIGNUM_ASSIGN(const Shown before, Show(app, params[0]));
  SIGNUM_TRY(CheckConditions(request, before.etag));
  if (policy) {
    SIGNUM_TRY(PutPolicy(app.engine, params[0], *policy));
    Record(app, request, "tenant.policy", params[0] + " " + PolicyResource(*policy).dump());
  }
  if (quota) {
    SIGNUM_TRY(app.quotas.Put(params[0], *quota));
    Record(app, request, "tenant.quota", params[0] + " " + QuotaResource(*quota).dump());
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
