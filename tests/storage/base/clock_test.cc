#include "storage/base/clock.h"

#include <gtest/gtest.h>

namespace signum {
namespace {

TEST(FormatTime, IsRfc3339WithMicroseconds) {
  EXPECT_EQ(FormatTime(0), "1970-01-01T00:00:00.000000Z");
  EXPECT_EQ(FormatTime(1'700'000'000'000'123), "2023-11-14T22:13:20.000123Z");
  EXPECT_EQ(FormatTime(-1), "1969-12-31T23:59:59.999999Z");
}

TEST(ManualClock, MovesByHand) {
  ManualClock clock(5);
  clock.Advance(std::chrono::seconds(2));
  EXPECT_EQ(clock.Now(), 2'000'005);
}

TEST(SystemClock, IsPastTheYear2024) { EXPECT_GT(SystemClock().Now(), 1'704'067'200'000'000); }

}  // namespace
}  // namespace signum
