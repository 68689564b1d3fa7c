#include "server/rate_limit.h"

#include <gtest/gtest.h>

#include <string>

#include "server/request_limits.h"

namespace signum::test {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr RateLimiter::Time kStart{hours(1)};

TEST(RateLimiter, LetsThroughWhatTheRateAllows) {
  RateLimiter limiter;
  RateLimiter::Time now = kStart;
  const Rate rate{10, 10};
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(limiter.Take("acme", rate, now)) << i;
  EXPECT_EQ(limiter.Take("acme", rate, now), milliseconds(100));
  EXPECT_FALSE(limiter.Take("other", rate, now)) << "buckets are apart";
  now += milliseconds(250);
  EXPECT_FALSE(limiter.Take("acme", rate, now));
  EXPECT_FALSE(limiter.Take("acme", rate, now));
  EXPECT_EQ(limiter.Take("acme", rate, now), milliseconds(50));
  int passed = 0;
  for (int i = 0; i < 10'000; ++i) passed += !limiter.Take("acme", rate, now += milliseconds(1));
  EXPECT_NEAR(passed, 100, 1);
}

TEST(RateLimiter, WaitsAsToldAndPasses) {
  RateLimiter limiter;
  const Rate rate{0.3, 1};
  EXPECT_FALSE(limiter.Take("acme", rate, kStart));
  const auto wait = limiter.Take("acme", rate, kStart);
  ASSERT_TRUE(wait);
  EXPECT_FALSE(limiter.Take("acme", rate, kStart + *wait));
}

TEST(RateLimiter, ABurstIsHoardedAndNoMore) {
  RateLimiter limiter;
  const Rate rate{1, 5};
  const auto passed = [&](RateLimiter::Time now) {
    int count = 0;
    while (!limiter.Take("acme", rate, now)) ++count;
    return count;
  };
  EXPECT_EQ(passed(kStart), 5);
  EXPECT_EQ(passed(kStart + seconds(2)), 2);
  EXPECT_EQ(passed(kStart + hours(9)), 5);
}

TEST(RateLimiter, LookingTakesNothing) {
  RateLimiter limiter;
  const Rate rate{1, 1};
  EXPECT_FALSE(limiter.Look("acme", rate, kStart));
  EXPECT_EQ(limiter.size(), 0u);
  EXPECT_FALSE(limiter.Take("acme", rate, kStart));
  EXPECT_EQ(limiter.Look("acme", rate, kStart), seconds(1));
  EXPECT_EQ(limiter.Look("acme", rate, kStart + milliseconds(400)), milliseconds(600));
  EXPECT_FALSE(limiter.Look("acme", rate, kStart + seconds(1)));
}

TEST(RateLimiter, MemoryIsBounded) {
  RateLimiter limiter(1000);
  const Rate rate{1, 10};
  for (int i = 0; i < 5000; ++i) {
    EXPECT_FALSE(limiter.Take("name " + std::to_string(i), rate, kStart));
  }
  EXPECT_EQ(limiter.size(), 1000u);
  EXPECT_FALSE(limiter.Take("late", rate, kStart + seconds(1))) << "idle ones are full by now";
  EXPECT_EQ(limiter.size(), 1u);
}

TEST(RateLimiter, AnIdleOneThatIsNotFullIsNotForgotten) {
  RateLimiter limiter;
  const Rate slow{0.01, 2};
  EXPECT_FALSE(limiter.Take("acme", slow, kStart));
  EXPECT_FALSE(limiter.Take("acme", slow, kStart));
  EXPECT_FALSE(limiter.Take("other", slow, kStart + seconds(90)));
  EXPECT_EQ(limiter.Take("acme", slow, kStart + seconds(90)), seconds(10));
}

TEST(RequestLimits, AnAddressIsAHost) {
  EXPECT_EQ(AddressOfPeer("127.0.0.1:41234"), "127.0.0.1");
  EXPECT_EQ(AddressOfPeer("[::ffff:10.1.2.3]:80"), "10.1.2.3");
  EXPECT_EQ(AddressOfPeer("[2001:db8:1:2:3:4:5:6]:443"), "2001:db8:1:2::/64");
  EXPECT_EQ(AddressOfPeer("[2001:db8:1:2::1]:1"), AddressOfPeer("[2001:db8:1:2:ffff::9]:2"));
  EXPECT_EQ(AddressOfPeer("[fe80::1%eth0]:1"), "fe80::1%eth0");
  EXPECT_EQ(AddressOfPeer(""), "");
}

}  // namespace
}  // namespace signum::test
