#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "server/app.h"
#include "server/http/router.h"
#include "server/principal.h"
#include "server/rate_limit.h"

namespace signum {

// Whom a connection comes from, as far as limits go: an IPv4 address, or the /64 network of an IPv6
// address ("[2001:db8::1]:443" → "2001:db8::/64"), which one host has as a whole.
std::string AddressOfPeer(std::string_view peer);

// How much of the service one tenant and one address may take. Each refusal is 429 with
// Retry-After, and counted. Thread-safe.
class RequestLimits {
 public:
  explicit RequestLimits(App& app) : app_(app) {}

  // "too_many_failures" for an address that sent too many bad tokens (App::auth_failures), before
  // this one's are looked at.
  std::optional<http::Response> CheckAddress(const http::Request& request);
  void NoteBadToken(const http::Request& request);

  // "rate_limited" where the tenant's requests come faster than its quota has it. A request counts
  // for the tenant of its path if that is one of the token's, else for the token's first; those of
  // tokens without tenants (admins, auditors) for nobody.
  std::optional<http::Response> Take(const Principal& caller, const http::Route& route,
                                     const http::Params& params, const http::Request& request);

 private:
  http::Response Refuse(const http::Request& request, std::string_view code,
                        const std::string& detail, RateLimiter::Wait wait);

  App& app_;
  RateLimiter tenants_;
  RateLimiter addresses_;
};

}  // namespace signum
