// What admins and auditors ask of a registry.

#include <nlohmann/json.hpp>

#include "client/answer_fields.h"
#include "client/registry_call.h"

namespace signum::client {

using nlohmann::json;

namespace {

// How often a change is begun anew because of another one at the same time.
constexpr int kRaces = 10;

std::string TenantPath(const std::string& tenant) {
  return "/v1/admin/tenants/" + EscapeSegment(tenant);
}

}  // namespace

Result<json> Registry::Savings(const std::string& by) {
  return GetJson("/v1/audit/savings?by=" + EscapeSegment(by));
}

Result<std::string> Registry::SavingsCsv(const std::string& by) {
  SIGNUM_ASSIGN(HttpResponse response,
                SendRetrying({.path = "/v1/audit/savings?format=csv&by=" + EscapeSegment(by)}));
  return std::move(response.body);
}

Result<json> Registry::AuditLog() { return GetList("/v1/audit/log", "entries"); }

Result<json> Registry::StartMaintenance(const std::string& kind, const json& request) {
  return SendJson({.method = "POST", .path = "/v1/admin/" + kind, .body = request.dump()});
}

Result<json> Registry::CreateToken(const json& spec) {
  return SendJson({.method = "POST", .path = "/v1/admin/tokens", .body = spec.dump()});
}

Result<json> Registry::ListTokens() { return GetList("/v1/admin/tokens", "tokens"); }

Result<void> Registry::RevokeToken(const std::string& id) {
  SIGNUM_TRY(SendRetrying({.method = "DELETE", .path = "/v1/admin/tokens/" + EscapeSegment(id)}));
  return {};
}

Result<json> Registry::RotateToken(const std::string& id, uint64_t grace_seconds) {
  return SendJson({.method = "POST",
                   .path = "/v1/admin/tokens/" + EscapeSegment(id) + "/rotate",
                   .body = json({{"grace_seconds", grace_seconds}}).dump()});
}

Result<json> Registry::ListKeys() { return GetJson("/v1/keys"); }

Result<json> Registry::RotateKey() {
  return SendJson({.method = "POST", .path = "/v1/admin/keys/rotate"});
}

Result<json> Registry::GetTenant(const std::string& tenant) { return GetJson(TenantPath(tenant)); }

Result<json> Registry::ChangeTenant(const std::string& tenant, const json& change) {
  for (int attempt = 1;; ++attempt) {
    Call call{.path = TenantPath(tenant)};
    SIGNUM_ASSIGN(const HttpResponse seen, SendRetrying(call));
    SIGNUM_ASSIGN(const json settings, AnswerJson(call, seen));
    json whole = json::object();  // a PUT sets all of a quota or policy
    for (const auto& [part, changed] : change.items()) {
      whole[part] = settings.value(part, json::object());
      whole[part].update(changed);
    }
    call.method = "PUT";
    call.body = whole.dump();
    call.headers.emplace_back("If-Match", std::string(seen.Header("etag")));
    Result<json> changed = SendJson(call);
    const bool raced = changed.has_error() && changed.error().code == Errc::kPrecondition;
    if (!raced || attempt == kRaces) return changed;
  }
}

Result<json> Registry::GetMode() { return GetJson("/v1/admin/mode"); }

Result<json> Registry::SetMode(bool read_only) {
  return SendJson(
      {.method = "PUT", .path = "/v1/admin/mode", .body = json{{"read_only", read_only}}.dump()});
}

}  // namespace signum::client
