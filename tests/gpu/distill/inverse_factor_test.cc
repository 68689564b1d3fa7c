#include "gpu/distill/inverse_factor.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/gpu/codec_support.h"
#include "tests/support/result_matchers.h"

namespace signum {
namespace {

// XᵀX of random inputs.
std::vector<float> RandomMoment(size_t n, size_t rows) {
  const std::vector<float> x = RandomValues(rows * n, 3, 1);
  std::vector<float> h(n * n);
  for (size_t r = 0; r < rows; ++r) {
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) h[i * n + j] += x[r * n + i] * x[r * n + j];
    }
  }
  return h;
}

class InverseFactorSizes : public testing::TestWithParam<size_t> {};

// (H + d I) Uᵀ U must be the identity, and U upper triangular.
TEST_P(InverseFactorSizes, IsTheFactorOfTheInverse) {
  const size_t n = GetParam();
  const double damping = 5;
  const std::vector<float> h = RandomMoment(n, n / 2 + 1);  // singular without damping
  const auto u = InverseFactor(h, static_cast<int64_t>(n), damping);
  ASSERT_TRUE(u.has_value());
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < i; ++j) ASSERT_EQ((*u)[i * n + j], 0.0F) << i << " " << j;
  }
  std::vector<double> inverse(n * n);
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < n; ++j) {
      for (size_t k = 0; k <= std::min(i, j); ++k) {
        inverse[i * n + j] += double{(*u)[k * n + i]} * double{(*u)[k * n + j]};
      }
    }
  }
  double worst = 0;
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < n; ++j) {
      double product = damping * inverse[i * n + j];
      for (size_t k = 0; k < n; ++k) product += double{h[i * n + k]} * inverse[k * n + j];
      worst = std::max(worst, std::abs(product - (i == j ? 1.0 : 0.0)));
    }
  }
  EXPECT_LT(worst, 1e-3);
}

INSTANTIATE_TEST_SUITE_P(Ragged, InverseFactorSizes, testing::Values(1, 2, 63, 64, 65, 150));

TEST(InverseFactor, RefusesWhatIsNotPositive) {
  const auto u = InverseFactor({1, 0, 0, -1}, 2, 0.5);
  ASSERT_TRUE(u.has_error());
  EXPECT_EQ(u.error().reason, "not_positive");
}

}  // namespace
}  // namespace signum
