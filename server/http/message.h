#pragma once

#include <any>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "storage/base/byte_source.h"
#include "storage/base/result.h"

// What handlers see of HTTP: plain values, no Beast and no Asio. The transport
// (server/http/server.h) turns them into bytes on a connection.

namespace signum::http {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct Request {
  std::string method;                 // as received, upper case
  std::string target;                 // as received: for logs only
  std::string path;                   // percent-decoded per segment, without query; see segments
  std::vector<std::string> segments;  // of the path, decoded, checked
  std::vector<std::pair<std::string, std::string>> query;  // decoded, in order
  Headers headers;                                         // names in lower case
  std::string peer;                                        // "127.0.0.1:41234"
  std::string id;               // request id: the caller's X-Request-Id where sane, else ours
  std::string base_url;         // "http://host:port" as the caller addressed us (Host header)
  std::string body;             // buffered routes only, at most the route's limit
  uint64_t content_length = 0;  // declared; 0 where none
  bool chunked = false;
  bool client_verified = false;  // the connection's client showed a certificate that holds
  std::any caller;               // what Hooks::gate found out about the caller

  // The one value of a header, or empty. Repeated headers that must not repeat were refused before.
  std::string_view Header(std::string_view lower_case_name) const;
  std::optional<std::string_view> Query(std::string_view name) const;
  std::vector<std::string_view> QueryAll(std::string_view name) const;
};

struct Response;

// A window of a source, streamed in 256 KiB–1 MiB pieces, read on the pool.
struct SourceBody {
  std::shared_ptr<const ByteSource> source;
  uint64_t offset = 0;
  uint64_t length = 0;
};

// How a waiting response learns that something happened: registers `wake` (cheap, any thread) until
// the returned handle is dropped.
using Subscribe = std::function<std::shared_ptr<void>(std::function<void()> wake)>;

// Long poll: the transport calls `poll` on the pool at once, after every wake, and a last time with
// timed_out; the first Response it returns is the answer. Costs no thread while it waits.
struct Pending {
  Subscribe subscribe;
  std::function<std::optional<Response>(bool timed_out)> poll;
  std::chrono::milliseconds timeout{0};
};

// Server-sent events: `next` returns what to write now ("" for nothing) or nullopt at the end.
// Called on the pool, at once and after every wake. The transport writes ": keep-alive" comments
// between.
struct EventStream {
  Subscribe subscribe;
  std::function<std::optional<std::string>()> next;
};

struct Response {
  int status = 200;
  Headers headers;  // Content-Length, Date, Server, X-Request-Id are the transport's
  std::variant<std::string, SourceBody, Pending, EventStream> body;

  void Set(std::string name, std::string value) {
    headers.emplace_back(std::move(name), std::move(value));
  }
};

// Takes a request body piece by piece as it arrives. All calls on the pool, one at a time.
class BodySink {
 public:
  virtual ~BodySink() = default;  // without Finish: the client vanished or a limit struck
  // An error ends the request with what Refuse makes of it.
  virtual Result<void> Write(ConstBytes bytes) = 0;
  virtual Response Refuse(const Error& error) = 0;
  virtual Response Finish() = 0;
};

// The response of an error: RFC 9457 application/problem+json with type, title, status, detail,
// code, request_id; Retry-After on 503; WWW-Authenticate on 401.
Response Problem(const Error& error, std::string_view request_id);
int StatusOf(const Error& error);
// The same for statuses that no Errc stands for (405, 410, 415, 429, 431 …). `code` is the stable
// name.
Response ProblemStatus(int status, std::string_view code, std::string_view detail,
                       std::string_view request_id);
// "Not Found" for 404; "Unknown" for what RFC 9110 and its registry do not name.
std::string_view ReasonPhrase(int status);
Response Json(int status, std::string body);

}  // namespace signum::http
