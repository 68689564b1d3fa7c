#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace signum {

// Token buckets by name: each fills with `rate` requests a second up to what one second brings (at
// least one). Names that ask for nothing for a while are forgotten. Thread-safe.
class RateLimiter {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // Takes one request of `name`; where there is none left, how long until there is.
  std::optional<std::chrono::milliseconds> Take(const std::string& name, double rate, Time now);

 private:
  struct Bucket {
    double left = 0;
    Time filled;
  };
  void Forget(Time now);

  std::mutex mutex_;
  std::unordered_map<std::string, Bucket> buckets_;
  Time swept_{};
};

}  // namespace signum
