// The forward pass against PyTorch's logits.

#include <gtest/gtest.h>

#include "gpu/model/generate.h"
#include "tests/gpu/model/model_support.h"
#include "tests/support/result_matchers.h"

namespace signum {
namespace {

class GoldenLogits : public testing::TestWithParam<std::string> {};

TEST_P(GoldenLogits, EqualPyTorchs) {
  const GoldenFile golden("logits.safetensors");
  TestModel model(OpenTiny(GetParam()));
  const std::vector<float> logits = model.LogitsOf(golden.Tokens());
  EXPECT_LE(RelativeDistance(logits, golden.Floats(GetParam())), 1e-4);
}

TEST_P(GoldenLogits, AreTheSameWhenLayersAreStreamed) {
  const GoldenFile golden("logits.safetensors");
  TestModel resident(OpenTiny(GetParam()));
  TestModel streamed(OpenTiny(GetParam()), false);
  EXPECT_EQ(resident.LogitsOf(golden.Tokens()), streamed.LogitsOf(golden.Tokens()));
}

TEST_P(GoldenLogits, AreTheSameOnAnyNumberOfThreads) {
  const GoldenFile golden("logits.safetensors");
  TokenRows rows = golden.Tokens();
  rows.tokens = 16;  // four sequences
  TestModel model(OpenTiny(GetParam()));
  const std::vector<float> two = model.LogitsOf(rows);
  model.compute.threads = 1;
  EXPECT_EQ(model.LogitsOf(rows), two);
  model.compute.threads = 3;
  EXPECT_EQ(model.LogitsOf(rows), two);
}

INSTANTIATE_TEST_SUITE_P(Family, GoldenLogits, testing::Values("base", "kjv"));

// Decoding with a cache must give what the whole sequence gives.
TEST(Generate, GreedyTokensAreTheForwardPasssOwn) {
  TestModel model(OpenTiny("kjv"));
  GenerateOptions options;
  options.rows = 3;
  options.tokens = 24;
  options.temperature = 0;
  options.seed = 5;
  const TokenRows rows =
      *Generate(model.compute, model.config, *model.weights, options, NoProgress);
  ASSERT_EQ(rows.ids.size(), 72U);
  const std::vector<float> logits = model.LogitsOf(rows);
  const auto vocabulary = static_cast<size_t>(model.weights->vocabulary());
  for (size_t r = 0; r < 3; ++r) {
    for (size_t t = 0; t + 1 < 24; ++t) {
      const auto row = logits.begin() + static_cast<ptrdiff_t>((r * 24 + t) * vocabulary);
      const auto top = std::max_element(row, row + static_cast<ptrdiff_t>(vocabulary)) - row;
      EXPECT_EQ(rows.ids[r * 24 + t + 1], top) << r << " " << t;
    }
  }
}

TEST(Generate, DependsOnTheSeedAlone) {
  TestModel model(OpenTiny("kjv"));
  GenerateOptions options;
  options.rows = 30;
  options.tokens = 8;
  const auto run = [&] {
    return Generate(model.compute, model.config, *model.weights, options, NoProgress)->ids;
  };
  const auto first = run();
  EXPECT_EQ(run(), first);
  model.compute.threads = 1;
  EXPECT_EQ(run(), first);
  options.seed = 1;
  EXPECT_NE(run(), first);
}

TEST(Generate, StopsWhereProgressSaysSo) {
  TestModel model(OpenTiny("kjv"));
  const auto stop = [](double) -> Result<void> {
    return Fail(Errc::kCancelled, "cancelled", "stopped");
  };
  const auto rows = Generate(model.compute, model.config, *model.weights, {}, stop);
  EXPECT_TRUE(rows.has_error() && rows.error().code == Errc::kCancelled);
}

}  // namespace
}  // namespace signum
