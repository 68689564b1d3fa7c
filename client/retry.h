#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <stop_token>
#include <string_view>

#include "storage/base/clock.h"

namespace signum::client {

using Millis = std::chrono::milliseconds;

struct RetryPolicy {
  Millis base{200};    // the first wait is at most this
  Millis cap{10'000};  // and no wait of ours is longer than this
  int attempts = 6;    // tries in all, the first included; 0: without end
};

// A registry may ask for a longer wait than `cap`, but not for a longer one than this.
inline constexpr Millis kMaxRetryAfter{300'000};

// Exponential backoff with full jitter: before try n+1 a wait that is uniform in
// [0, min(cap, base * 2^n)]. Full jitter spreads a fleet whose registry restarted evenly over the
// window; equal waits would bring it back as one wave. Not thread-safe.
class Backoff {
 public:
  explicit Backoff(const RetryPolicy& policy) : Backoff(policy, std::random_device{}()) {}
  Backoff(const RetryPolicy& policy, uint64_t seed) : policy_(policy), random_(seed) {}

  // After a failed try: how long to wait before the next, or nullopt where the tries are used up.
  // Never less than `retry_after` (bounded by kMaxRetryAfter), jitter comes on top of it.
  std::optional<Millis> Next(std::optional<Millis> retry_after = std::nullopt);

  void Reset() { failures_ = 0; }  // after progress: the tries count anew
  int failures() const { return failures_; }

 private:
  RetryPolicy policy_;
  std::mt19937_64 random_;
  int failures_ = 0;
};

// Retry-After (RFC 9110, 10.2.3): seconds or an HTTP date. nullopt where it is neither.
std::optional<Millis> ParseRetryAfter(std::string_view value, UnixMicros now);

// Sleeps, but not past a stop request. False where it was stopped.
bool SleepFor(Millis duration, const std::stop_token& stop);

}  // namespace signum::client
