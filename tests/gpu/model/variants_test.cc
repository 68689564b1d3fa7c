// Every supported kind of model against Hugging Face's implementation of it in PyTorch, on small
// random models (tests/data/make_variants.py).

#include <gtest/gtest.h>

#include <cmath>

#include "tests/gpu/distill/trainee.h"

namespace signum {
namespace {

GoldenFile Golden(const std::string& name) {
  return GoldenFile("variants/" + name + "/golden.safetensors");
}

class Variant : public testing::TestWithParam<std::string> {};

TEST_P(Variant, LogitsEqualPyTorchs) {
  const GoldenFile golden = Golden(GetParam());
  for (const auto& [file, tensor] : {std::pair("model", "base.logits"), {"fine", "fine.logits"}}) {
    TestModel model(OpenVariant(GetParam(), file));
    EXPECT_LE(RelativeDistance(model.LogitsOf(golden.Tokens()), golden.Floats(tensor)), 1e-5)
        << tensor;
  }
}

TEST_P(Variant, DecodesWithACacheWhatTheForwardPassComputes) {
  const TokenRows rows = Golden(GetParam()).Tokens();
  TestModel model(OpenVariant(GetParam()));
  EXPECT_LE(RelativeDistance(model.DecodedLogitsOf(rows), model.LogitsOf(rows)), 1e-5);
}

TEST_P(Variant, GivesTheSameBitsStreamedAndOnAnyNumberOfThreads) {
  const TokenRows rows = Golden(GetParam()).Tokens();
  TestModel resident(OpenVariant(GetParam()));
  TestModel streamed(OpenVariant(GetParam()), false);
  const std::vector<float> logits = resident.LogitsOf(rows);
  EXPECT_EQ(streamed.LogitsOf(rows), logits);
  for (const int threads : {1, 3}) {
    resident.compute.threads = threads;
    EXPECT_EQ(resident.LogitsOf(rows), logits) << threads;
  }
}

std::string KindName(ScaleKind kind) { return std::string(ScaleKindName(kind)); }

// Sets the scales that the golden file was computed with; every vector of them must be there.
void SetScales(const GoldenFile& golden, const std::string& kind, Student& student) {
  for (const ScaleVector* vector : student.Vectors()) {
    const std::vector<float> scales = golden.Floats(kind + "." + vector->part);
    ASSERT_EQ(static_cast<int64_t>(scales.size()), vector->size) << vector->part;
    std::copy(scales.begin(), scales.end(), student.scales() + vector->offset);
  }
}

void CheckGradient(const GoldenFile& golden, const std::string& prefix, const Trainee& trainee) {
  const std::vector<float> gradient = trainee.Gradient();
  for (const ScaleVector* vector : trainee.student().Vectors()) {
    const auto begin = gradient.begin() + vector->offset;
    const std::vector<float> expected = golden.Floats(prefix + vector->part);
    EXPECT_LE(RelativeDistance({begin, begin + vector->size}, expected), 1e-3) << vector->part;
  }
  EXPECT_EQ(golden.NamesAfter(prefix).size(), trainee.student().Vectors().size())
      << "PyTorch trains other scales";
}

Trainee MakeTrainee(const std::string& name, ScaleKind kind, TraineeOptions options = {}) {
  options.compress.scales = kind;
  return {OpenVariant(name), OpenVariant(name, "fine"), options, Golden(name).Tokens()};
}

TEST_P(Variant, LossAndGradientsEqualPyTorchs) {
  const GoldenFile golden = Golden(GetParam());
  for (const ScaleKind kind : {ScaleKind::kTensor, ScaleKind::kRow, ScaleKind::kRowCol}) {
    Trainee trainee = MakeTrainee(GetParam(), kind);
    SetScales(golden, KindName(kind), trainee.student());
    for (const auto& [loss, name] : {std::pair(ops::Loss::kMse, "mse"), {ops::Loss::kKl, "kl"}}) {
      const std::string prefix = KindName(kind) + "." + name + ".";
      SCOPED_TRACE(prefix);
      const double expected = golden.Floats(prefix + "loss")[0];
      EXPECT_NEAR(trainee.Loss(loss), expected, 1e-5 * expected);
      CheckGradient(golden, prefix + "grad.", trainee);
    }
  }
}

TEST_P(Variant, GradientsAreTheSameStreamedAndRecomputed) {
  const GoldenFile golden = Golden(GetParam());
  Trainee kept = MakeTrainee(GetParam(), ScaleKind::kRowCol);
  TraineeOptions streaming;
  streaming.keep_activations = false;
  streaming.resident = false;
  Trainee streamed = MakeTrainee(GetParam(), ScaleKind::kRowCol, streaming);
  EXPECT_EQ(streamed.Loss(), kept.Loss());
  EXPECT_EQ(streamed.Gradient(), kept.Gradient());
}

INSTANTIATE_TEST_SUITE_P(Family, Variant,
                         testing::Values("llama3", "llama-linear", "llama2-tied", "llama-head-dim",
                                         "mistral", "qwen2", "qwen3"),
                         [](const auto& name) {
                           std::string out = name.param;
                           std::erase(out, '-');
                           return out;
                         });

// That the golden logits depend on what makes a variant one: without it they are missed by far.
double DistanceWith(const std::string& name, const std::function<void(LlamaConfig&)>& change) {
  TestModel model(OpenVariant(name));
  change(model.config);
  return RelativeDistance(model.LogitsOf(Golden(name).Tokens()),
                          Golden(name).Floats("base.logits"));
}

TEST(VariantData, DependsOnSlidingWindows) {
  const auto full = [](LlamaConfig& config) { config.windows.assign(2, 0); };
  EXPECT_GT(DistanceWith("mistral", full), 0.05);
  EXPECT_GT(DistanceWith("qwen2", full), 0.05);
  EXPECT_GT(DistanceWith("qwen2", [](LlamaConfig& config) { config.windows.assign(2, 6); }), 0.05);
  EXPECT_GT(DistanceWith("qwen3", [](LlamaConfig& config) { config.windows.assign(2, 5); }), 0.05);
}

TEST(VariantData, DependsOnEveryPartOfRopeScaling) {
  // Pairs of llama3 by what is done to their periods: kept, blended, divided.
  const std::vector<double> scaled = TestModel(OpenVariant("llama3")).config.inverse_periods;
  ASSERT_EQ(scaled.size(), 6U);
  const auto unscaled = [](size_t pair) {
    return [pair](LlamaConfig& config) {
      config.inverse_periods[pair] = std::pow(500000.0, -static_cast<double>(pair) / 6);
    };
  };
  EXPECT_LE(DistanceWith("llama3", unscaled(0)), 1e-5);
  EXPECT_GT(DistanceWith("llama3", unscaled(1)), 1e-3);
  EXPECT_GT(DistanceWith("llama3", unscaled(2)), 1e-3);
  EXPECT_GT(DistanceWith("llama-linear",
                         [](LlamaConfig& config) {
                           for (double& period : config.inverse_periods) period *= 4;
                         }),
            0.05);
}

}  // namespace
}  // namespace signum
