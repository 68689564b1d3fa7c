#include "server/rate_limit.h"

#include <algorithm>
#include <cmath>

namespace signum {
namespace {

constexpr std::chrono::seconds kForgetAfter{60};  // any bucket is full again by then

double Seconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

std::optional<std::chrono::milliseconds> RateLimiter::Take(const std::string& name, double rate,
                                                           Time now) {
  const std::lock_guard lock(mutex_);
  Forget(now);
  const double most = std::max(1.0, rate);
  const auto [found, added] = buckets_.try_emplace(name, Bucket{most, now});
  Bucket& bucket = found->second;
  bucket.left = std::min(most, bucket.left + rate * Seconds(now - bucket.filled));
  bucket.filled = now;
  if (bucket.left >= 1) {
    bucket.left -= 1;
    return std::nullopt;
  }
  return std::chrono::milliseconds(static_cast<int64_t>(std::ceil((1 - bucket.left) / rate * 1e3)));
}

void RateLimiter::Forget(Time now) {
  if (now - swept_ < kForgetAfter) return;
  swept_ = now;
  std::erase_if(buckets_,
                [&](const auto& entry) { return now - entry.second.filled > kForgetAfter; });
}

}  // namespace signum
