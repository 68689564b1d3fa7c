#include "client/retry.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

namespace signum::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(BackoffTest, WaitsStayInTheDoublingWindowAndUseAllOfIt) {
  const RetryPolicy policy{milliseconds{100}, milliseconds{1000}, 0};
  for (int failure = 0; failure < 8; ++failure) {
    const int64_t window = std::min<int64_t>(1000, 100ll << failure);
    int64_t smallest = window, largest = 0;
    for (uint64_t seed = 0; seed < 300; ++seed) {
      Backoff backoff(policy, seed);
      std::optional<Millis> wait;
      for (int i = 0; i <= failure; ++i) wait = backoff.Next();
      ASSERT_TRUE(wait);
      smallest = std::min<int64_t>(smallest, wait->count());
      largest = std::max<int64_t>(largest, wait->count());
    }
    EXPECT_LE(largest, window);
    EXPECT_GE(largest, window * 9 / 10);  // full jitter: from zero to the whole window
    EXPECT_LE(smallest, window / 10);
  }
}

TEST(BackoffTest, GivesUpAfterTheAttemptsAndStartsAnewAfterProgress) {
  Backoff backoff({milliseconds{1}, milliseconds{1}, 3}, 1);
  EXPECT_TRUE(backoff.Next());
  EXPECT_TRUE(backoff.Next());
  EXPECT_FALSE(backoff.Next());
  backoff.Reset();
  EXPECT_TRUE(backoff.Next());
}

TEST(BackoffTest, HonoursRetryAfterWithinReason) {
  Backoff backoff({milliseconds{10}, milliseconds{20}, 0}, 1);
  const auto asked = backoff.Next(seconds{7});
  ASSERT_TRUE(asked);
  EXPECT_GE(*asked, seconds{7});
  EXPECT_LE(*asked, seconds{7} + milliseconds{20});
  const auto absurd = backoff.Next(seconds{1'000'000});
  EXPECT_LE(*absurd, kMaxRetryAfter + milliseconds{20});
}

TEST(RetryAfterTest, ReadsSecondsAndDates) {
  constexpr UnixMicros kNow = 784'111'777'000'000;  // Sun, 06 Nov 1994 08:49:37 GMT
  EXPECT_EQ(ParseRetryAfter("120", kNow), seconds{120});
  EXPECT_EQ(ParseRetryAfter("Sun, 06 Nov 1994 08:49:47 GMT", kNow), seconds{10});
  EXPECT_EQ(ParseRetryAfter("Sun, 06 Nov 1994 08:49:27 GMT", kNow), seconds{0});
  EXPECT_FALSE(ParseRetryAfter("soon", kNow));
  EXPECT_FALSE(ParseRetryAfter("", kNow));
  EXPECT_FALSE(ParseRetryAfter("-5", kNow));
}

TEST(SleepForTest, EndsAtOnceWhenStopped) {
  std::stop_source source;
  const auto begin = std::chrono::steady_clock::now();
  std::jthread stopper([&] {
    std::this_thread::sleep_for(milliseconds{20});
    source.request_stop();
  });
  EXPECT_FALSE(SleepFor(seconds{60}, source.get_token()));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds{30});
  EXPECT_TRUE(SleepFor(milliseconds{1}, {}));
}

}  // namespace
}  // namespace signum::client
