#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "server/http/message.h"

namespace signum::http {

// Path parameters by position: "/v1/bases/{base}/files/{path...}" gives {base, path}.
using Params = std::vector<std::string>;

using Handler = std::function<Response(const Request&, const Params&)>;
// Opens the sink a streamed body goes to, or answers at once (after which the connection is closed
// when the body was not read).
using SinkHandler =
    std::function<std::variant<std::unique_ptr<BodySink>, Response>(const Request&, const Params&)>;

struct Route {
  std::string method;   // "GET" serves HEAD too
  std::string pattern;  // "/v1/tenants/{tenant}/live"; "{path...}" takes the rest, slashes included
  std::variant<Handler, SinkHandler> handler;  // name the type: a bare lambda could be either
  uint64_t max_body = 1 << 20;  // buffered handlers: above it 413. Sinks: no limit of ours
  bool inline_ok = false;       // quick and never blocking: may run on the I/O thread
};

// An explicit table. Unknown path: 404 problem; known path with another method: 405 with Allow;
// OPTIONS: 204 with Allow. Where several patterns fit a path, a literal segment beats a parameter,
// and a parameter "{path...}", from left to right. Immutable once built.
class Router {
 public:
  // Throws std::logic_error on a malformed or repeated pattern: a bug in the table.
  void Add(Route route);
  struct Match {
    const Route* route = nullptr;
    Params params;
    std::string allow;  // where route is null and the path exists: its methods, OPTIONS included
  };
  Match Find(std::string_view method, const std::vector<std::string>& segments) const;
  const std::vector<Route>& routes() const { return routes_; }

 private:
  struct Segment {
    enum Kind { kLiteral, kParam, kRest } kind;
    std::string literal;
  };
  using Pattern = std::vector<Segment>;
  static Pattern Compile(const std::string& pattern);
  static bool Fits(const Pattern& pattern, const std::vector<std::string>& segments);
  static bool MoreSpecific(const Pattern& a, const Pattern& b);
  static Params Extract(const Pattern& pattern, const std::vector<std::string>& segments);

  std::vector<Route> routes_;
  std::vector<Pattern> patterns_;  // of routes_, by index
};

}  // namespace signum::http
