#include "gpu/serve/sampler.h"

#include <gtest/gtest.h>

#include <cmath>

#include "gpu/model/generate.h"

namespace signum {
namespace {

const std::vector<float> kLogits{0.0F, 2.0F, 1.0F, 2.0F, -3.0F};

// Shares of 20,000 evenly spread draws.
std::vector<double> Shares(const SamplingOptions& options) {
  std::vector<double> shares(kLogits.size());
  for (int i = 0; i < 20'000; ++i) {
    shares[static_cast<size_t>(SampleToken(kLogits, options, (i + 0.5) / 20'000))] += 1.0 / 20'000;
  }
  return shares;
}

std::vector<double> Softmax(double temperature) {
  std::vector<double> p;
  double sum = 0;
  for (const float z : kLogits) sum += std::exp(double{z} / temperature);
  for (const float z : kLogits) p.push_back(std::exp(double{z} / temperature) / sum);
  return p;
}

TEST(SampleToken, TemperatureZeroTakesTheFirstOfTheLargest) {
  for (const double draw : {0.0, 0.5, 0.999}) EXPECT_EQ(SampleToken(kLogits, {0}, draw), 1);
}

TEST(SampleToken, FollowsTheDistribution) {
  for (const double temperature : {0.5, 1.0, 3.0}) {
    const auto expected = Softmax(temperature);
    const auto got = Shares({temperature});
    for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], 2e-4);
  }
}

TEST(SampleToken, TopKKeepsThatMany) {
  const auto shares = Shares({1, 1, 2});
  EXPECT_NEAR(shares[1], 0.5, 1e-3);
  EXPECT_NEAR(shares[3], 0.5, 1e-3);
}

TEST(SampleToken, TopPKeepsTheLikeliestThatReachIt) {
  const auto p = Softmax(1);
  const auto shares = Shares({1, p[1] + p[3] + 0.01, 0});
  EXPECT_EQ(shares[0], 0);
  EXPECT_EQ(shares[4], 0);
  EXPECT_NEAR(shares[2], p[2] / (p[1] + p[2] + p[3]), 1e-3);
  EXPECT_NEAR(Shares({1, 0, 0})[1], 1, 1e-9);  // at least one
}

TEST(Logprobs, AreTheLogSoftmax) {
  const auto p = Softmax(1);
  EXPECT_NEAR(LogprobOf(kLogits, 2), std::log(p[2]), 1e-9);
  const auto top = TopLogprobs(kLogits, 3);
  ASSERT_EQ(top.size(), 3U);
  EXPECT_EQ(top[0].token, 1);
  EXPECT_EQ(top[1].token, 3);
  EXPECT_EQ(top[2].token, 2);
  EXPECT_NEAR(top[0].logprob, std::log(p[1]), 1e-9);
  EXPECT_EQ(TopLogprobs(kLogits, 99).size(), kLogits.size());
}

}  // namespace
}  // namespace signum
