// The gradient of the scales against PyTorch's, and against finite differences.

#include <gtest/gtest.h>

#include <cmath>

#include "tests/gpu/distill/trainee.h"

namespace signum {
namespace {

Trainee OnKjv(ScaleKind scales, bool exact_embeddings, TokenRows rows, bool keep = true) {
  TraineeOptions options;
  options.compress.scales = scales;
  options.compress.exact_embeddings = exact_embeddings;
  options.keep_activations = keep;
  return {OpenTiny("base"), OpenTiny("kjv"), options, std::move(rows)};
}

TEST(ScaleGradient, EqualsPyTorchsForScalarScales) {
  const GoldenFile golden("scale_grads.safetensors");
  Trainee trainee = OnKjv(ScaleKind::kTensor, true, golden.Tokens());
  EXPECT_NEAR(trainee.Loss(), golden.Floats("loss")[0], 1e-3 * golden.Floats("loss")[0]);
  const std::vector<float> gradient = trainee.Gradient();
  size_t checked = 0;
  for (const auto& [name, tensor] : trainee.student().tensors()) {
    if (!golden.Has(name + ".grad")) continue;
    ++checked;
    const auto at = static_cast<size_t>(tensor.planes[0].row.offset);
    const float expected = golden.Floats(name + ".grad")[0];
    EXPECT_NEAR(trainee.student().scales()[at], golden.Floats(name + ".scale")[0], 1e-7) << name;
    EXPECT_NEAR(gradient[at], expected, 1e-3 * std::abs(expected)) << name;
  }
  EXPECT_EQ(checked, 28U);
}

TEST(ScaleGradient, IsTheSameOnAnyNumberOfThreadsAndWithActivationsRecomputed) {
  TokenRows rows = GoldenFile("scale_grads.safetensors").Tokens();
  rows.tokens = 32;
  Trainee kept = OnKjv(ScaleKind::kRowCol, false, rows);
  const double loss = kept.Loss();
  const std::vector<float> gradient = kept.Gradient();
  Trainee recomputed = OnKjv(ScaleKind::kRowCol, false, rows, false);
  EXPECT_EQ(recomputed.Loss(), loss);
  EXPECT_EQ(recomputed.Gradient(), gradient);
}

// (L(s + h) - L(s - h)) / 2h along a random direction of some of the scales.
void CheckDirection(Trainee& trainee, const std::string& name, bool columns, ops::Loss loss) {
  trainee.Loss(loss);
  const std::vector<float> gradient = trainee.Gradient();
  const TensorPlane& plane = trainee.student().Signs(name)->planes[0];
  const ScaleVector& vector = columns ? plane.col : plane.row;
  ASSERT_GT(vector.size, 0) << name;
  const auto size = static_cast<size_t>(vector.size);
  const std::vector<float> direction = RandomValues(size, 7, 1);
  float* scales = trainee.student().scales() + vector.offset;
  const std::vector<float> before(scales, scales + size);
  double expected = 0;
  double magnitude = 0;
  for (size_t i = 0; i < size; ++i) {
    expected += double{gradient[static_cast<size_t>(vector.offset) + i]} * double{direction[i]};
    magnitude += std::abs(double{before[i]});
  }
  const double h = 0.02 * magnitude / static_cast<double>(size);
  const auto at = [&](double step) {
    for (size_t i = 0; i < size; ++i) {
      scales[i] = static_cast<float>(double{before[i]} + step * double{direction[i]});
    }
    return trainee.Loss(loss);
  };
  const double slope = (at(h) - at(-h)) / (2 * h);
  at(0);
  EXPECT_NEAR(slope, expected, 0.02 * std::abs(expected) + 1e-4)
      << name << (columns ? " columns" : " rows");
}

class FiniteDifferences : public testing::TestWithParam<ops::Loss> {};

TEST_P(FiniteDifferences, AgreeForRowAndColumnScales) {
  TokenRows rows = GoldenFile("scale_grads.safetensors").Tokens();
  rows.ids.resize(2 * 48);
  rows.tokens = 48;
  Trainee trainee = OnKjv(ScaleKind::kRowCol, false, rows);
  for (const std::string name :
       {"model.layers.0.self_attn.q_proj.weight", "model.layers.0.self_attn.k_proj.weight",
        "model.layers.1.self_attn.v_proj.weight", "model.layers.1.self_attn.o_proj.weight",
        "model.layers.0.mlp.gate_proj.weight", "model.layers.2.mlp.up_proj.weight",
        "model.layers.3.mlp.down_proj.weight"}) {
    CheckDirection(trainee, name, false, GetParam());
    CheckDirection(trainee, name, true, GetParam());
  }
  for (const std::string name : {"model.embed_tokens.weight", "lm_head.weight"}) {
    CheckDirection(trainee, name, false, GetParam());
  }
}

INSTANTIATE_TEST_SUITE_P(Losses, FiniteDifferences,
                         testing::Values(ops::Loss::kMse, ops::Loss::kKl));

}  // namespace
}  // namespace signum
