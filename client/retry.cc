#include "client/retry.h"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <mutex>
#include <string>

namespace signum::client {

std::optional<Millis> Backoff::Next(std::optional<Millis> retry_after) {
  ++failures_;
  if (policy_.attempts > 0 && failures_ >= policy_.attempts) return std::nullopt;
  const int doublings = std::min(failures_ - 1, 30);
  const int64_t window = std::min<int64_t>(policy_.cap.count(), policy_.base.count() << doublings);
  std::uniform_int_distribution<int64_t> jitter(0, std::max<int64_t>(window, 0));
  const Millis asked = std::clamp(retry_after.value_or(Millis{0}), Millis{0}, kMaxRetryAfter);
  return asked + Millis{jitter(random_)};
}

std::optional<Millis> ParseRetryAfter(std::string_view value, UnixMicros now) {
  uint32_t seconds = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), seconds);
  if (error == std::errc() && end == value.data() + value.size()) {
    return std::chrono::seconds{seconds};
  }
  const time_t at = curl_getdate(std::string(value).c_str(), nullptr);
  if (at < 0) return std::nullopt;
  return Millis{std::max<int64_t>(0, static_cast<int64_t>(at) * 1000 - now / 1000)};
}

bool SleepFor(Millis duration, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  wake.wait_for(lock, stop, duration, [] { return false; });
  return !stop.stop_requested();
}

}  // namespace signum::client
