#include "server/change.h"

#include <utility>

#include "server/audit_log.h"
#include "server/handler.h"
#include "server/metrics.h"

namespace signum {

http::Handler Ask(App& app, ApiFunction function) {
  return Answer([&app, function](const http::Request& request, const http::Params& params) {
    return function(app, request, params);
  });
}

http::Handler Change(App& app, std::string action, ApiFunction function, KeptResponse kept) {
  auto recorded = [&app, action = std::move(action), function](
                      const http::Request& request,
                      const http::Params& params) -> Result<http::Response> {
    auto response = function(app, request, params);
    if (response.has_error()) {
      app.metrics.CountRefusal(response.error().reason);
      Record(app, request, action, request.path, response.error().reason);
    }
    return response;
  };
  return Idempotent(app, Answer(std::move(recorded)), kept);
}

}  // namespace signum
