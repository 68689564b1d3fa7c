#include "server/rate_limit.h"

#include <algorithm>
#include <cmath>

namespace signum {
namespace {

using std::chrono::duration;
using std::chrono::duration_cast;

constexpr std::chrono::seconds kSweepEvery{1};
constexpr double kFarSeconds = 1e6;  // further off than anybody waits, and no clock overflows

std::chrono::steady_clock::duration Until(double tokens, const Rate& rate) {
  const duration<double> seconds(std::min(tokens / rate.per_second, kFarSeconds));
  return duration_cast<std::chrono::steady_clock::duration>(seconds);
}

double Refilled(double left, std::chrono::steady_clock::duration passed, const Rate& rate) {
  return std::min(rate.burst, left + rate.per_second * duration<double>(passed).count());
}

std::optional<RateLimiter::Wait> WaitFor(double left, const Rate& rate) {
  if (left >= 1) return std::nullopt;
  return std::chrono::ceil<RateLimiter::Wait>(Until(1 - left, rate));
}

}  // namespace

std::optional<RateLimiter::Wait> RateLimiter::Take(const std::string& name, const Rate& rate,
                                                   Time now) {
  const std::lock_guard lock(mutex_);
  Forget(now);
  if (buckets_.size() >= most_ && !buckets_.contains(name)) return std::nullopt;
  Bucket& bucket = buckets_.try_emplace(name, Bucket{rate.burst, now, now}).first->second;
  bucket.left = Refilled(bucket.left, now - bucket.filled, rate);
  bucket.filled = now;
  const auto wait = WaitFor(bucket.left, rate);
  if (!wait) bucket.left -= 1;
  bucket.full = now + Until(rate.burst - bucket.left, rate);
  return wait;
}

std::optional<RateLimiter::Wait> RateLimiter::Look(const std::string& name, const Rate& rate,
                                                   Time now) {
  const std::lock_guard lock(mutex_);
  const auto found = buckets_.find(name);
  if (found == buckets_.end()) return std::nullopt;
  return WaitFor(Refilled(found->second.left, now - found->second.filled, rate), rate);
}

size_t RateLimiter::size() const {
  const std::lock_guard lock(mutex_);
  return buckets_.size();
}

void RateLimiter::Forget(Time now) {
  if (now - swept_ < kSweepEvery) return;
  swept_ = now;
  std::erase_if(buckets_, [&](const auto& entry) { return entry.second.full <= now; });
}

}  // namespace signum
