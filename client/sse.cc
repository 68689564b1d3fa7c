#include "client/sse.h"

namespace signum::client {

namespace {
constexpr size_t kMaxEventBytes = 1 << 20;
}

Result<void> SseParser::Take(std::string_view piece) {
  while (!piece.empty()) {
    const size_t end = piece.find('\n');
    line_ += piece.substr(0, end);
    if (line_.size() + event_.data.size() > kMaxEventBytes) {
      return Fail(Errc::kTooLarge, "event_too_large", "an event of the stream is over 1 MiB");
    }
    if (end == piece.npos) return {};
    piece.remove_prefix(end + 1);
    std::string line = std::exchange(line_, {});
    if (!line.empty() && line.back() == '\r') line.pop_back();
    SIGNUM_TRY(TakeLine(line));
  }
  return {};
}

Result<void> SseParser::TakeLine(std::string_view line) {
  if (line.empty()) {
    const SseEvent event = std::exchange(event_, {});
    if (event.data.empty() && event.event.empty()) return {};
    return on_event_(event);
  }
  const size_t colon = line.find(':');
  const std::string_view field = line.substr(0, colon);
  std::string_view value = colon == line.npos ? std::string_view{} : line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (field == "id") event_.id = value;
  if (field == "event") event_.event = value;
  if (field == "data") event_.data += (event_.data.empty() ? "" : "\n") + std::string(value);
  return {};
}

}  // namespace signum::client
