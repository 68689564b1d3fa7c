#include <algorithm>
#include <nlohmann/json.hpp>

#include "server/app.h"
#include "server/audit_log.h"
#include "server/change.h"
#include "server/fields.h"
#include "server/handler.h"
#include "server/principal.h"
#include "storage/base/name.h"

namespace signum {
namespace {

using nlohmann::json;

constexpr size_t kMaxNote = 200;
constexpr size_t kMaxTenants = 1000;
constexpr uint64_t kMaxGrace = 30 * 86'400;  // seconds

json TokenResource(const TokenRecord& token) {
  return {{"id", token.id},
          {"role", RoleName(token.role)},
          {"tenants", token.tenants},
          {"note", token.note},
          {"created", FormatTime(token.created)},
          {"expires", token.expires ? json(FormatTime(*token.expires)) : json(nullptr)}};
}

// What a new token is asked to be.
struct TokenRequest {
  Role role = Role::kNode;
  std::vector<std::string> tenants;
  std::string note;
  std::optional<UnixMicros> expires;
};

// A publisher has one tenant, a node at least one, the others none.
Result<void> CheckTenants(const Fields& fields, const TokenRequest& token) {
  const size_t count = token.tenants.size();
  for (const std::string& tenant : token.tenants) SIGNUM_TRY(CheckName("tenant", tenant));
  switch (token.role) {
    case Role::kPublisher:
      if (count != 1) return fields.Bad("tenant", "the one tenant that a publisher publishes for");
      break;
    case Role::kNode:
      if (count == 0 || count > kMaxTenants) return fields.Bad("tenants", "1 to 1000 tenants");
      break;
    case Role::kAdmin:
    case Role::kAuditor:
      if (count != 0) return fields.Bad("tenants", "absent: the role reaches every tenant");
      break;
  }
  return {};
}

Result<std::optional<UnixMicros>> ParseExpiry(const App& app, Fields& fields) {
  SIGNUM_ASSIGN(const auto text, fields.OptionalString("expires"));
  if (!text) return std::optional<UnixMicros>();
  const auto time = ParseTime(*text);
  if (!time) return fields.Bad("expires", "an RFC 3339 time");
  if (*time <= app.clock.Now()) return fields.Bad("expires", "in the future");
  return time;
}

Result<TokenRequest> ParseTokenRequest(const App& app, const http::Request& request) {
  SIGNUM_ASSIGN(Fields fields, Fields::Parse(request));
  TokenRequest token;
  SIGNUM_ASSIGN(const std::string role, fields.String("role"));
  SIGNUM_ASSIGN(token.tenants, fields.Strings("tenants"));
  SIGNUM_ASSIGN(const auto tenant, fields.OptionalString("tenant"));
  SIGNUM_ASSIGN(const auto note, fields.OptionalString("note"));
  SIGNUM_ASSIGN(token.expires, ParseExpiry(app, fields));
  SIGNUM_TRY(fields.Done());
  const auto known = RoleFromName(role);
  if (!known) return fields.Bad("role", "admin, publisher, node or auditor");
  token.role = *known;
  if (tenant) token.tenants.push_back(*tenant);
  token.note = note.value_or("");
  if (token.note.size() > kMaxNote) return fields.Bad("note", "at most 200 bytes");
  SIGNUM_TRY(CheckTenants(fields, token));
  return token;
}

http::Response TokenCreated(const http::Request& request, const Accounts::NewToken& created) {
  json body = TokenResource(created.record);
  body["token"] = created.secret;
  http::Response response = http::Json(201, body.dump());
  response.Set("Location", Link(request, "/v1/admin/tokens/" + created.record.id));
  response.Set("Cache-Control", "no-store");
  return response;
}

Result<http::Response> CreateToken(App& app, const http::Request& request, const http::Params&) {
  SIGNUM_TRY(RequireAdmin(request));
  SIGNUM_ASSIGN(TokenRequest token, ParseTokenRequest(app, request));
  SIGNUM_ASSIGN(const auto created, app.accounts.CreateToken(token.role, std::move(token.tenants),
                                                             std::move(token.note), token.expires));
  Record(app, request, "token.create",
         created.record.id + " " + std::string(RoleName(created.record.role)));
  return TokenCreated(request, created);
}

// What is kept of the answer above for a repeated Idempotency-Key: only a token's hash is ever
// stored, so the repetition gets everything but the secret.
http::Response WithoutSecret(http::Response response) {
  if (response.status != 201) return response;
  json body = json::parse(std::get<std::string>(response.body));
  body["token"] = nullptr;
  response.body = body.dump();
  return response;
}

Result<http::Response> ListTokens(App& app, const http::Request& request, const http::Params&) {
  SIGNUM_TRY(RequireAdmin(request));
  SIGNUM_ASSIGN(const Page page, PageOf(request));
  SIGNUM_ASSIGN(auto tokens, app.accounts.ListTokens());
  std::sort(tokens.begin(), tokens.end(),
            [](const TokenRecord& a, const TokenRecord& b) { return a.id < b.id; });
  json items = json::array();
  std::string last;
  for (const TokenRecord& token : tokens) {
    if (token.id <= page.after || items.size() >= page.limit) continue;
    items.push_back(TokenResource(token));
    last = token.id;
  }
  return ListResponse("tokens", std::move(items), page, last);
}

Result<http::Response> RevokeToken(App& app, const http::Request& request,
                                   const http::Params& params) {
  SIGNUM_TRY(RequireAdmin(request));
  SIGNUM_TRY(app.accounts.RevokeToken(params[0]));
  Record(app, request, "token.revoke", params[0]);
  http::Response response;
  response.status = 204;
  return response;
}

// How long the old secret of a rotated token still works.
Result<std::chrono::seconds> ParseGrace(const http::Request& request) {
  if (request.body.empty()) return std::chrono::seconds(0);
  SIGNUM_ASSIGN(Fields fields, Fields::Parse(request));
  uint64_t grace = 0;
  if (fields.Find("grace_seconds") != nullptr) {
    SIGNUM_ASSIGN(grace, fields.Number("grace_seconds"));
  }
  SIGNUM_TRY(fields.Done());
  if (grace > kMaxGrace) return fields.Bad("grace_seconds", "at most 30 days");
  return std::chrono::seconds(grace);
}

Result<http::Response> RotateToken(App& app, const http::Request& request,
                                   const http::Params& params) {
  SIGNUM_TRY(RequireAdmin(request));
  SIGNUM_ASSIGN(const auto grace, ParseGrace(request));
  SIGNUM_ASSIGN(const auto created, app.accounts.RotateToken(params[0], grace));
  Record(app, request, "token.rotate", params[0] + " " + created.record.id);
  return TokenCreated(request, created);
}

}  // namespace

void AddTokenRoutes(http::Router& router, App& app) {
  router.Add({.method = "POST",
              .pattern = "/v1/admin/tokens",
              .handler = Change(app, "token.create", CreateToken, WithoutSecret)});
  router.Add({.method = "GET", .pattern = "/v1/admin/tokens", .handler = Ask(app, ListTokens)});
  router.Add({.method = "DELETE",
              .pattern = "/v1/admin/tokens/{id}",
              .handler = Change(app, "token.revoke", RevokeToken)});
  router.Add({.method = "POST",
              .pattern = "/v1/admin/tokens/{id}/rotate",
              .handler = Change(app, "token.rotate", RotateToken, WithoutSecret)});
}

}  // namespace signum
