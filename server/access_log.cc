#include "server/access_log.h"

#include <spdlog/async.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>

#include "server/principal.h"

namespace signum {
namespace {

std::string_view CallerId(const http::Request& request) {
  const auto* caller = std::any_cast<Principal>(&request.caller);
  return caller == nullptr ? "-" : std::string_view(caller->id);
}

std::string Dump(const nlohmann::ordered_json& line) {
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string JsonLine(UnixMicros now, const http::AccessRecord& record) {
  const http::Request& request = record.request;
  const nlohmann::ordered_json line = {{"time", FormatTime(now)},
                                       {"level", "info"},
                                       {"message", "request"},
                                       {"request_id", request.id},
                                       {"caller", CallerId(request)},
                                       {"peer", request.peer},
                                       {"method", request.method},
                                       {"path", request.path},
                                       {"route", record.route},
                                       {"status", record.status},
                                       {"bytes_in", record.bytes_in},
                                       {"bytes_out", record.bytes_out},
                                       {"duration_us", record.duration.count()}};
  return Dump(line);
}

// A path is decoded text of the caller's choice: what could forge a line is replaced.
std::string Printable(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) <= ' ' || c == 127) c = '?';
  }
  return out;
}

std::string TextLine(UnixMicros now, const http::AccessRecord& record) {
  const http::Request& request = record.request;
  return fmt::format("{} {} {} {} {} {} {} in={} out={} {}us", FormatTime(now), request.id,
                     CallerId(request), request.peer, Printable(request.method),
                     Printable(request.path), record.status, record.bytes_in, record.bytes_out,
                     record.duration.count());
}

// spdlog's patterns do not escape, so a message with a quote would break a JSON line.
class JsonFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    const auto time = std::chrono::time_point_cast<std::chrono::microseconds>(message.time);
    const auto level = spdlog::level::to_string_view(message.level);
    const nlohmann::ordered_json line = {
        {"time", FormatTime(time.time_since_epoch().count())},
        {"level", std::string_view(level.data(), level.size())},
        {"message", std::string_view(message.payload.data(), message.payload.size())}};
    const std::string text = Dump(line) + '\n';
    out.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<JsonFormatter>();
  }
};

constexpr size_t kQueueLines = 8192;

}  // namespace

Result<LogFormat> LogFormatFromName(std::string_view name) {
  if (name == "json") return LogFormat::kJson;
  if (name == "text") return LogFormat::kText;
  if (name == "off") return LogFormat::kOff;
  return Fail(Errc::kInvalid, "bad_log_format", "the log format is json, text or off");
}

std::string AccessLine(LogFormat format, UnixMicros now, const http::AccessRecord& record) {
  return format == LogFormat::kJson ? JsonLine(now, record) : TextLine(now, record);
}

AccessLog::AccessLog(LogFormat format, const Clock& clock) : format_(format), clock_(clock) {
  if (format == LogFormat::kOff) return;
  auto thread = std::make_shared<spdlog::details::thread_pool>(kQueueLines, 1);
  logger_ = std::make_shared<spdlog::async_logger>(
      "access", std::make_shared<spdlog::sinks::stdout_sink_mt>(), thread,
      spdlog::async_overflow_policy::overrun_oldest);
  logger_->set_pattern("%v");
  logger_->flush_on(spdlog::level::info);
  thread_ = std::move(thread);
}

AccessLog::~AccessLog() = default;  // the thread writes out what waits

void AccessLog::Write(const http::AccessRecord& record) {
  if (logger_ != nullptr) logger_->info(AccessLine(format_, clock_.Now(), record));
}

void StartServerLog(LogFormat format) {
  auto logger = std::make_shared<spdlog::logger>("signumd",
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
  if (format == LogFormat::kJson) {
    logger->set_formatter(std::make_unique<JsonFormatter>());
  } else {
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%fZ %l %v", spdlog::pattern_time_type::utc);
  }
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace signum
