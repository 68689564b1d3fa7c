#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "storage/base/bytes.h"
#include "storage/base/result.h"

namespace signum::client {

struct HttpResponse {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;  // empty where it went to a sink; of what is no success at most 64 KiB

  bool ok() const { return status >= 200 && status < 300; }
  // The first value of a header, or empty.
  std::string_view Header(std::string_view lower_case_name) const;
};

struct HttpRequest {
  std::string method = "GET";
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers;
  // The body: `upload` where set (memory of the caller, not copied), else `body`.
  std::string body;
  std::optional<ConstBytes> upload;
  std::function<void(uint64_t)> on_sent;  // bytes of the body sent so far

  // Where the body of a successful (2xx) answer goes, piece by piece; without it the body is kept
  // in the response, at most `max_body` bytes. `on_headers` sees status and headers before the
  // first piece. An error from either ends the call with that error.
  std::function<Result<void>(const HttpResponse&)> on_headers;
  std::function<Result<void>(ConstBytes)> sink;
  uint64_t max_body = 64u << 20;

  std::chrono::seconds timeout{120};       // for the whole call; 0: as long as bytes move
  std::chrono::seconds stall_timeout{60};  // at less than min_speed, where timeout is 0
  uint64_t min_speed = 1;                  // bytes a second
  std::stop_token stop;                    // ends the call at once with Errc::kCancelled
};

// PEM files of https. Empty `ca_file`: the system's certificates are trusted; empty `cert_file`: no
// certificate of the client's own. `key_file` may be empty where `cert_file` holds the key too.
struct ClientTls {
  std::string ca_file, cert_file, key_file;
};

// HTTP/1.1 and TLS through libcurl. One connection, kept between calls; one thread at a time.
// Follows no redirects, so that a token is never sent to another host.
class HttpClient {
 public:
  explicit HttpClient(ClientTls tls = {});
  ~HttpClient();
  HttpClient(HttpClient&&) noexcept;
  HttpClient& operator=(HttpClient&&) noexcept;

  // Any answer, of whatever status, is a success here. Errors: Errc::kUnavailable "unreachable"
  // (names host and cause), "timed_out", "connection_lost"; kInvalid "bad_url"; kTooLarge
  // "body_too_large"; kDenied "tls_failed"; kCancelled.
  Result<HttpResponse> Send(const HttpRequest& request);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// `reference` (absolute, or relative as RFC 3986 has it) resolved against `base`.
Result<std::string> ResolveUrl(const std::string& base, const std::string& reference);
// Scheme, host and port of a URL: "http://host:8080". Errc::kInvalid "bad_url".
Result<std::string> UrlOrigin(const std::string& url);
// Percent-encodes one path segment or query value; EscapePath keeps the slashes.
std::string EscapeSegment(std::string_view text);
std::string EscapePath(std::string_view path);

}  // namespace signum::client
