#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace signum {

// Wall-clock time as stored and shown: microseconds since the Unix epoch, UTC.
using UnixMicros = int64_t;

// Where time comes from. Passed in so that tests can move it.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual UnixMicros Now() const = 0;
};

class SystemClock final : public Clock {
 public:
  UnixMicros Now() const override;
};

// A clock a test sets by hand.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(UnixMicros now = 1'700'000'000'000'000) : now_(now) {}
  UnixMicros Now() const override { return now_; }
  void Advance(std::chrono::microseconds by) { now_ += by.count(); }

 private:
  std::atomic<UnixMicros> now_;
};

// RFC 3339 in UTC with microseconds: "2026-11-23T16:44:01.000123Z".
std::string FormatTime(UnixMicros time);

// Reads an RFC 3339 time with any offset and 0 to 9 digits of a second's fraction (cut to micros).
// nullopt for anything else.
std::optional<UnixMicros> ParseTime(std::string_view text);

}  // namespace signum
