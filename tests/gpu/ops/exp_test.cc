#include "gpu/ops/exp.h"

#include <gtest/gtest.h>

#include <cmath>

namespace signum::ops {
namespace {

TEST(Exp, RelativeErrorIsAsStated) {
  double worst = 0;
  for (int i = -86999; i < 87000; ++i) {
    const float x = static_cast<float>(i) * 1e-3F;
    const double expected = std::exp(double{x});
    worst = std::max(worst, std::fabs(double{Exp(x)} - expected) / expected);
  }
  EXPECT_LT(worst, 2e-7);
}

TEST(Exp, StaysFiniteAndAboveZeroBeyondItsRange) {
  for (const float x : {-1e30F, -1000.0F, -87.5F, -88.0F}) EXPECT_GT(Exp(x), 0.0F) << x;
  for (const float x : {88.0F, 89.0F, 1000.0F, 1e30F}) EXPECT_TRUE(std::isfinite(Exp(x))) << x;
  EXPECT_LT(Exp(-1e30F), 1e-37F);
  EXPECT_FLOAT_EQ(Exp(0), 1);
  EXPECT_TRUE(std::isnan(Exp(NAN)));
}

}  // namespace
}  // namespace signum::ops
