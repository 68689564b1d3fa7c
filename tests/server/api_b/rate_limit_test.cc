#include "server/rate_limit.h"

#include <gtest/gtest.h>

namespace signum {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(RateLimiter, LetsThroughWhatTheRateAllows) {
  RateLimiter limiter;
  RateLimiter::Time now{};
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(limiter.Take("acme", 10, now).has_value()) << i;
  EXPECT_EQ(limiter.Take("acme", 10, now), milliseconds(100));
  EXPECT_FALSE(limiter.Take("other", 10, now).has_value()) << "buckets are apart";
  now += milliseconds(250);
  EXPECT_FALSE(limiter.Take("acme", 10, now).has_value());
  EXPECT_FALSE(limiter.Take("acme", 10, now).has_value());
  EXPECT_EQ(limiter.Take("acme", 10, now), milliseconds(50));
  int passed = 0;
  for (int i = 0; i < 10'000; ++i) passed += !limiter.Take("acme", 10, now += milliseconds(1));
  EXPECT_NEAR(passed, 100, 1);
}

TEST(RateLimiter, SlowRatesLetOneThrough) {
  RateLimiter limiter;
  RateLimiter::Time now{};
  EXPECT_FALSE(limiter.Take("acme", 0.5, now).has_value());
  EXPECT_EQ(limiter.Take("acme", 0.5, now), milliseconds(2000));
  EXPECT_FALSE(limiter.Take("acme", 0.5, now + seconds(2)).has_value());
  EXPECT_FALSE(limiter.Take("acme", 0.5, now + seconds(200)).has_value()) << "also once forgotten";
}

TEST(RateLimiter, ARestHoardsNoMoreThanASecond) {
  RateLimiter limiter;
  RateLimiter::Time now{};
  limiter.Take("acme", 5, now);
  now += seconds(50);
  int passed = 0;
  for (int i = 0; i < 100; ++i) passed += !limiter.Take("acme", 5, now);
  EXPECT_EQ(passed, 5);
}

}  // namespace
}  // namespace signum
