#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "server/http/server.h"
#include "storage/base/clock.h"
#include "storage/base/result.h"

namespace spdlog {
class logger;
}

namespace signum {

enum class LogFormat { kJson, kText, kOff };
Result<LogFormat> LogFormatFromName(std::string_view name);  // json, text, off

// One line of the access log, without the newline: time, request id, caller, peer, method, path,
// route, status, bytes, duration. Headers and the query string are never in it, so no secret can
// be.
std::string AccessLine(LogFormat format, UnixMicros now, const http::AccessRecord& record);

// Writes access lines to stdout from a thread of its own: an I/O thread that ends a request never
// waits for whoever reads the log. When 8,192 lines wait, the oldest are dropped. Thread-safe.
class AccessLog {
 public:
  AccessLog(LogFormat format, const Clock& clock);
  ~AccessLog();
  AccessLog(const AccessLog&) = delete;
  AccessLog& operator=(const AccessLog&) = delete;

  void Write(const http::AccessRecord& record);

 private:
  LogFormat format_;
  const Clock& clock_;
  std::shared_ptr<void> thread_;  // writes; ends after the logger
  std::shared_ptr<spdlog::logger> logger_;
};

// The server's own log (spdlog's default logger): stderr, as JSON lines or text.
void StartServerLog(LogFormat format);

}  // namespace signum
