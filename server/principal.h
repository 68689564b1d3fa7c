#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/http/message.h"
#include "storage/accounts.h"
#include "storage/base/result.h"

namespace signum {

// Who is calling. With --no-auth everyone is an admin called "anonymous".
struct Principal {
  std::string id;  // token id; what logs and records call the caller
  Role role = Role::kAdmin;
  std::vector<std::string> tenants;

  bool IsAdmin() const { return role == Role::kAdmin; }
  bool MayPublish(std::string_view tenant) const;  // admin, or publisher of this tenant
  bool MayRead(std::string_view tenant) const;     // those, and nodes of this tenant
  bool MayAudit() const;                           // admin, auditor
};

// The caller the gate authenticated.
const Principal& Caller(const http::Request& request);

// Errc::kDenied "not_yours" / "role_required" unless the caller may.
Result<void> RequirePublish(const http::Request& request, std::string_view tenant);
Result<void> RequireRead(const http::Request& request, std::string_view tenant);
Result<void> RequireAdmin(const http::Request& request);
Result<void> RequireAudit(const http::Request& request);

}  // namespace signum
