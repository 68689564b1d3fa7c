#include "server/gate.h"

#include <algorithm>
#include <array>
#include <memory>
#include <string>

#include "server/metrics.h"
#include "server/principal.h"
#include "server/request_limits.h"

namespace signum {
namespace {

constexpr std::array<std::string_view, 5> kOpen = {"/", "/healthz", "/readyz", "/openapi.json",
                                                   "/v1/keys"};

// Someone of no role and no tenant.
Principal Nobody() {
  Principal nobody;
  nobody.id = "-";
  nobody.role = Role::kNode;
  return nobody;
}

bool EqualsIgnoringCase(std::string_view text, std::string_view lower) {
  return std::equal(text.begin(), text.end(), lower.begin(), lower.end(), [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + 32) : a) == b;
  });
}

// The token of "Bearer <token>", or empty.
std::string_view BearerToken(std::string_view header) {
  constexpr std::string_view kScheme = "bearer ";
  if (header.size() <= kScheme.size() ||
      !EqualsIgnoringCase(header.substr(0, kScheme.size()), kScheme)) {
    return {};
  }
  header.remove_prefix(kScheme.size());
  return header.substr(std::min(header.find_first_not_of(' '), header.size()));
}

// "127.0.0.1:8080", "[::1]:80", "localhost" name this machine to itself.
bool IsLoopbackHost(std::string_view host) {
  const size_t colon = host.rfind(':');
  if (colon != std::string_view::npos && host.find(']', colon) == std::string_view::npos) {
    host = host.substr(0, colon);
  }
  return host.starts_with("127.") || host == "[::1]" || EqualsIgnoringCase(host, "localhost");
}

Result<Principal> WithoutAuth(const http::Request& request) {
  const std::string_view host = request.Header("host");
  const std::string_view origin = request.Header("origin");
  const size_t scheme = origin.find("://");
  const bool foreign =
      !origin.empty() && (scheme == std::string_view::npos || origin.substr(scheme + 3) != host);
  if (foreign || (!host.empty() && !IsLoopbackHost(host))) {
    return Fail(Errc::kDenied, "foreign_origin",
                "without authentication only this machine's own pages and programs may call");
  }
  Principal anyone;
  anyone.id = "anonymous";
  return anyone;
}

Result<Principal> Authenticate(const App& app, const http::Request& request) {
  if (!app.auth) return WithoutAuth(request);
  const std::string_view header = request.Header("authorization");
  if (header.empty()) {
    return Fail(Errc::kUnauthorized, "token_required",
                "this needs a token: send Authorization: Bearer <token>");
  }
  const std::string_view token = BearerToken(header);
  if (token.empty()) {
    return Fail(Errc::kUnauthorized, "bad_token",
                "the Authorization header must be: Bearer <token>");
  }
  SIGNUM_ASSIGN(TokenRecord record, app.accounts.Authenticate(token));
  if (record.role == Role::kNode && app.node_certificates && !request.client_verified) {
    return Fail(Errc::kDenied, "certificate_required",
                "a node's token works here only over TLS with a client certificate");
  }
  return Principal{std::move(record.id), record.role, std::move(record.tenants)};
}

// How an admin gets out of read-only mode.
bool IsRefusedReadOnly(const App& app, const http::Route& route) {
  return app.read_only && route.method != "GET" && route.pattern != kModePattern;
}

http::Response RefuseReadOnly(const http::Request& request) {
  http::Response response = http::ProblemStatus(
      503, "read_only", "the registry is in read-only mode: try again later", request.id);
  for (auto& [name, value] : response.headers) {
    if (name == "Retry-After") value = "30";
  }
  return response;
}

}  // namespace

bool IsOpenRoute(const http::Route& route) {
  return route.method == "OPTIONS" ||
         std::find(kOpen.begin(), kOpen.end(), route.pattern) != kOpen.end();
}

std::function<std::optional<http::Response>(http::Request&, const http::Route*,
                                            const http::Params&)>
MakeGate(App& app) {
  const auto limits = std::make_shared<RequestLimits>(app);
  return [&app, limits](http::Request& request, const http::Route* route,
                        const http::Params& params) -> std::optional<http::Response> {
    if (route == nullptr || IsOpenRoute(*route)) {
      request.caller = Nobody();
      return std::nullopt;
    }
    request.caller = Nobody();
    if (auto refused = limits->CheckAddress(request)) return refused;
    auto caller = Authenticate(app, request);
    if (caller.has_error()) {
      if (caller.error().reason == "bad_token") limits->NoteBadToken(request);
      return http::Problem(caller.error(), request.id);
    }
    if (auto refused = limits->Take(*caller, *route, params, request)) return refused;
    request.caller = *std::move(caller);
    if (!IsRefusedReadOnly(app, *route)) return std::nullopt;
    app.metrics.CountRefusal("read_only");
    return RefuseReadOnly(request);
  };
}

}  // namespace signum
