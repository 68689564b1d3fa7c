#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>

#include "server/app.h"
#include "server/audit_log.h"
#include "server/change.h"
#include "server/fields.h"
#include "server/principal.h"

// Read-only mode: the gate refuses changes, no job begins, reads go on.

namespace signum {
namespace {

http::Response Show(const App& app) {
  http::Response response =
      http::Json(200, nlohmann::json({{"read_only", app.read_only.load()}}).dump());
  response.Set("Cache-Control", "no-store");
  return response;
}

Result<http::Response> GetMode(App& app, const http::Request& request, const http::Params&) {
  SIGNUM_TRY(RequireAdmin(request));
  return Show(app);
}

Result<http::Response> PutMode(App& app, const http::Request& request, const http::Params&) {
  SIGNUM_TRY(RequireAdmin(request));
  SIGNUM_ASSIGN(Fields body, Fields::Parse(request));
  const nlohmann::json* asked = body.Find("read_only");
  if (asked == nullptr || !asked->is_boolean()) return body.Bad("read_only", "true or false");
  SIGNUM_TRY(body.Done());
  const bool read_only = asked->get<bool>();
  if (app.read_only.exchange(read_only) != read_only) {
    const char* mode = read_only ? "read-only" : "read-write";
    spdlog::info("the registry is {} now", mode);
    Record(app, request, "mode.set", mode);
  }
  return Show(app);
}

}  // namespace

void AddModeRoutes(http::Router& router, App& app) {
  const std::string mode(kModePattern);
  router.Add({"GET", mode, Ask(app, GetMode)});
  router.Add({"PUT", mode, Change(app, "mode.set", PutMode)});
}

}  // namespace signum
