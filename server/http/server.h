#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "server/http/message.h"
#include "server/http/router.h"
#include "server/http/tls.h"

namespace signum::http {

struct ServerOptions {
  std::string address = "127.0.0.1";
  uint16_t port = 0;     // 0: any free one
  int io_threads = 0;    // 0: one a core
  int pool_threads = 0;  // blocking work; 0: 4 × cores, at least 8
  uint64_t max_queued =
      0;         // requests waiting for a pool thread; above it 503; 0: 128 × pool_threads
  TlsFiles tls;  // certificate and key, or neither
  uint64_t max_header_bytes = 32 * 1024;  // 431 above it
  uint64_t max_connections = 20'000;      // above it: 503 and closed
  std::chrono::milliseconds header_timeout{
      15'000};  // from accept or the first byte to the full header
  std::chrono::milliseconds idle_timeout{60'000};  // keep-alive between requests
  std::chrono::milliseconds body_timeout{30'000};  // without a byte of progress, both ways
  uint64_t min_body_rate = 1024;  // bytes a second, averaged after body_timeout: slower is closed
  // Parameters may hold a slash that came encoded ("/v1/models/acme%2Fscripture"): handlers, and
  // whoever stands before them, must not take a parameter for a name. Else it is a bad target.
  bool encoded_slashes = false;
  std::chrono::milliseconds sse_keep_alive{15'000};  // between comments on a silent event stream
};

// What the access log and metrics see of one finished request.
struct AccessRecord {
  const Request& request;
  std::string_view route;  // the pattern, "" for none: low-cardinality label
  int status;
  uint64_t bytes_in, bytes_out;
  std::chrono::microseconds duration;
};

// HTTP/1.1 over TCP or TLS. One io_context a core with SO_REUSEPORT, handlers on a pool of threads.
// Before a handler runs, `gate` may answer instead (authentication), before a byte of the body is
// read; it runs where the handler will: on the pool, or on the I/O thread for an inline_ok route.
// It is asked with a null route too (unknown path, other method, OPTIONS), so that what exists can
// stay hidden. After each response, also one to a request that could not be parsed, `observe` is
// called on the I/O thread. Both must be thread-safe.
class Server {
 public:
  struct Hooks {
    std::function<std::optional<Response>(Request&, const Route*, const Params&)> gate;
    std::function<void(const AccessRecord&)> observe;
  };
  // Binds and starts. Errc::kUnavailable "cannot_listen" names the address.
  static Result<std::unique_ptr<Server>> Start(const ServerOptions& options, Router router,
                                               Hooks hooks);
  virtual ~Server() = default;  // as Stop with no grace
  virtual uint16_t port() const = 0;
  virtual uint64_t connections() const = 0;
  // Reads the TLS files anew, for connections from now on. An error changes nothing. Plain:
  // nothing.
  virtual Result<void> ReloadTls() = 0;
  // Stops accepting, ends idle connections and waiting polls at once, lets running requests end for
  // at most `grace`, then closes them. Returns when no connection is left.
  virtual void Stop(std::chrono::milliseconds grace) = 0;
};

}  // namespace signum::http
