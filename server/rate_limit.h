#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

namespace signum {

// What a bucket brings: `per_second` (over 0) tokens up to `burst` (1 or more) of them.
struct Rate {
  double per_second = 0;
  double burst = 1;
};

// Token buckets by name. Full ones are forgotten, since a new one is the same; more than a bound of
// others at once are not kept either: who comes then is let through. Thread-safe.
class RateLimiter {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Wait = std::chrono::milliseconds;

  explicit RateLimiter(size_t most = 100'000) : most_(most) {}

  // Takes a token of `name`; where there is none left, how long until there is.
  std::optional<Wait> Take(const std::string& name, const Rate& rate, Time now);
  // The same, but leaves it there.
  std::optional<Wait> Look(const std::string& name, const Rate& rate, Time now);

  size_t size() const;

 private:
  struct Bucket {
    double left = 0;
    Time filled;
    Time full;  // when it will be, if nobody takes from it
  };
  void Forget(Time now);

  const size_t most_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Bucket> buckets_;
  Time swept_{};
};

}  // namespace signum
