#include "server/audit_log.h"

#include <spdlog/spdlog.h>

#include "server/principal.h"

namespace signum {

void Record(App& app, const http::Request& request, std::string_view action,
            std::string_view target, std::string_view result) {
  LogEntry entry;
  entry.who = Caller(request).id;
  entry.action = action;
  entry.target = target;
  entry.from = request.peer;
  entry.result = result;
  entry.request_id = request.id;
  auto appended = app.accounts.AppendLog(std::move(entry));
  if (appended.has_error()) {
    spdlog::error("audit log: {} {}: {}", action, target, appended.error().message);
  }
}

}  // namespace signum
