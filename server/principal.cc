#include "server/principal.h"

#include <algorithm>

namespace signum {
namespace {

bool Owns(const Principal& caller, std::string_view tenant) {
  return std::find(caller.tenants.begin(), caller.tenants.end(), tenant) != caller.tenants.end();
}

Error RoleRequired(const Principal& caller, std::string_view needed) {
  return Fail(Errc::kDenied, "role_required",
              "this needs " + std::string(needed) + "; the token's role is " +
                  std::string(RoleName(caller.role)));
}

// The error of a caller who may not do something with `tenant`: whether it is the wrong tenant or
// the wrong role. It says nothing of whether the tenant exists.
Error TenantDenied(const Principal& caller, std::string_view tenant, std::string_view needed) {
  if (caller.role == Role::kAuditor || Owns(caller, tenant)) {
    return RoleRequired(caller, needed);
  }
  return Fail(Errc::kDenied, "not_yours",
              "the token does not reach tenant '" + std::string(tenant) + "'");
}

}  // namespace

bool Principal::MayPublish(std::string_view tenant) const {
  return IsAdmin() || (role == Role::kPublisher && Owns(*this, tenant));
}

bool Principal::MayRead(std::string_view tenant) const {
  return MayPublish(tenant) || (role == Role::kNode && Owns(*this, tenant));
}

bool Principal::MayAudit() const { return IsAdmin() || role == Role::kAuditor; }

const Principal& Caller(const http::Request& request) {
  return *std::any_cast<Principal>(&request.caller);
}

Result<void> RequirePublish(const http::Request& request, std::string_view tenant) {
  const Principal& caller = Caller(request);
  if (caller.MayPublish(tenant)) return {};
  return TenantDenied(caller, tenant, "a publisher of the tenant or an admin");
}

Result<void> RequireRead(const http::Request& request, std::string_view tenant) {
  const Principal& caller = Caller(request);
  if (caller.MayRead(tenant)) return {};
  return TenantDenied(caller, tenant, "a publisher or node of the tenant, or an admin");
}

Result<void> RequireAdmin(const http::Request& request) {
  const Principal& caller = Caller(request);
  if (caller.IsAdmin()) return {};
  return RoleRequired(caller, "an admin");
}

Result<void> RequireAudit(const http::Request& request) {
  const Principal& caller = Caller(request);
  if (caller.MayAudit()) return {};
  return RoleRequired(caller, "an auditor or an admin");
}

}  // namespace signum
