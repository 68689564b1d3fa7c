#include "server/request_limits.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cmath>

#include "server/handler.h"
#include "server/metrics.h"

namespace signum {
namespace {

constexpr std::string_view kOfTenant = "/v1/tenants/{tenant}/";

Rate RateOf(double per_second, const std::optional<uint64_t>& burst) {
  const double otherwise = std::max(1.0, std::ceil(per_second));
  return {per_second, burst ? std::max(1.0, static_cast<double>(*burst)) : otherwise};
}

const std::string& TenantOf(const Principal& caller, const http::Route& route,
                            const http::Params& params) {
  const bool named = route.pattern.starts_with(kOfTenant) && !params.empty();
  if (!named) return caller.tenants.front();
  const auto own = std::find(caller.tenants.begin(), caller.tenants.end(), params.front());
  return own == caller.tenants.end() ? caller.tenants.front() : *own;
}

std::chrono::steady_clock::time_point Now() { return std::chrono::steady_clock::now(); }

}  // namespace

std::string AddressOfPeer(std::string_view peer) {
  std::string host(peer.substr(0, peer.rfind(':')));
  if (!host.starts_with('[') || !host.ends_with(']')) return host;
  host = host.substr(1, host.size() - 2);
  in6_addr address{};
  if (inet_pton(AF_INET6, host.c_str(), &address) != 1) return host;
  char text[INET6_ADDRSTRLEN] = {};
  if (IN6_IS_ADDR_V4MAPPED(&address)) {  // all of them lie in one /64
    inet_ntop(AF_INET, &address.s6_addr[12], text, sizeof text);
    return text;
  }
  std::fill(address.s6_addr + 8, address.s6_addr + 16, 0);
  inet_ntop(AF_INET6, &address, text, sizeof text);
  return std::string(text) + "/64";
}

std::optional<http::Response> RequestLimits::CheckAddress(const http::Request& request) {
  if (app_.auth_failures <= 0) return std::nullopt;
  const std::string address = AddressOfPeer(request.peer);
  const auto wait = addresses_.Look(address, RateOf(app_.auth_failures, {}), Now());
  if (!wait) return std::nullopt;
  return Refuse(request, "too_many_failures", "too many bad tokens came from " + address, *wait);
}

void RequestLimits::NoteBadToken(const http::Request& request) {
  if (app_.auth_failures <= 0) return;
  addresses_.Take(AddressOfPeer(request.peer), RateOf(app_.auth_failures, {}), Now());
}

std::optional<http::Response> RequestLimits::Take(const Principal& caller, const http::Route& route,
                                                  const http::Params& params,
                                                  const http::Request& request) {
  if (caller.IsAdmin() || caller.tenants.empty()) return std::nullopt;
  const std::string& tenant = TenantOf(caller, route, params);
  const Quota quota = app_.quotas.InForce(tenant);
  if (!quota.requests_per_second) return std::nullopt;
  const auto wait = tenants_.Take(tenant, RateOf(*quota.requests_per_second, quota.burst), Now());
  if (!wait) return std::nullopt;
  return Refuse(request, "rate_limited",
                "tenant '" + tenant + "' sends more requests than its quota has", *wait);
}

http::Response RequestLimits::Refuse(const http::Request& request, std::string_view code,
                                     const std::string& detail, RateLimiter::Wait wait) {
  app_.metrics.CountRefusal(code);
  return TooManyRequests(code, detail, request.id, wait);
}

}  // namespace signum
