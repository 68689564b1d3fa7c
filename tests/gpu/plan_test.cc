#include "gpu/plan.h"

#include <gtest/gtest.h>

#include "tests/gpu/codec_support.h"
#include "tests/support/result_matchers.h"

namespace signum {
namespace {

const std::string kUp = "model.layers.0.mlp.up_proj.weight";

// A fine-tune of which everything has changed.
std::pair<TestCheckpoint, TestCheckpoint> AllChanged() {
  std::vector<TestTensor> base;
  std::vector<TestTensor> fine;
  const auto add = [&](const std::string& name, std::vector<uint64_t> shape, uint64_t grown) {
    const uint64_t row = shape.size() > 1 ? shape[1] : 1;
    const auto values = RandomValues(shape[0] * row, base.size(), 1);
    base.push_back(MakeTensor(name, Dtype::kBF16, shape, values));
    shape[0] += grown;
    auto more = RandomValues(shape[0] * row, 100 + base.size(), 1);
    fine.push_back(MakeTensor(name, Dtype::kBF16, shape, more));
  };
  add("model.embed_tokens.weight", {60, 50}, 0);
  add("lm_head.weight", {60, 50}, 3);
  add(kUp, {70, 90}, 0);
  add("model.norm.weight", {50}, 0);
  return {MakeCheckpoint(base), MakeCheckpoint(fine)};
}

TEST(Plan, IsTheSizeOfTheFileWhereEverythingChanged) {
  const auto [base, fine] = AllChanged();
  for (ScaleKind kind : {ScaleKind::kTensor, ScaleKind::kRow, ScaleKind::kRowCol}) {
    for (bool exact : {false, true}) {
      for (int planes : {1, 3}) {
        CompressOptions options;
        options.scales = kind;
        options.exact_embeddings = exact;
        options.planes = planes;
        const auto plan = PlanDelta(*base.checkpoint, *fine.checkpoint, options);
        ASSERT_THAT(plan, Ok());
        const TempDir dir;
        const TestDelta delta = MakeDelta(base, fine, options, dir);
        EXPECT_EQ(plan->size, delta.summary.sealed.size);
        EXPECT_EQ(plan->upload, fine.hashed.recipe.TotalBytes());
        uint64_t sum = 0;
        for (const PlanClass& each : plan->classes) sum += each.delta_bytes;
        EXPECT_EQ(sum, plan->size);
      }
    }
  }
}

TEST(Plan, RefusesWhatACompressionWould) {
  const auto [base, fine] = AllChanged();
  CompressOptions options;
  options.planes = 9;
  EXPECT_THAT(PlanDelta(*base.checkpoint, *fine.checkpoint, options),
              FailsWith(Errc::kInvalid, "bad_planes", "9"));
  EXPECT_THAT(PlanDelta(*fine.checkpoint, *base.checkpoint, {}),
              FailsWith(Errc::kUnusable, "architecture_mismatch", "lm_head.weight"));
}

}  // namespace
}  // namespace signum
