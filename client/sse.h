#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "storage/base/result.h"

namespace signum::client {

struct SseEvent {
  std::string id, event, data;
};

// Takes a text/event-stream (WHATWG HTML, 9.2) in pieces of any size and calls back once an event
// is complete. An event of more than 1 MiB is Errc::kTooLarge.
class SseParser {
 public:
  explicit SseParser(std::function<Result<void>(const SseEvent&)> on_event)
      : on_event_(std::move(on_event)) {}
  Result<void> Take(std::string_view piece);

 private:
  Result<void> TakeLine(std::string_view line);

  std::function<Result<void>(const SseEvent&)> on_event_;
  std::string line_;
  SseEvent event_;
};

}  // namespace signum::client
