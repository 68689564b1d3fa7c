// What a delta that was distilled in bfloat16 is said to be like.

#include <gtest/gtest.h>

#include "gpu/cuda_module.h"
#include "storage/base/file.h"
#include "tests/gpu/distill/small_distillation.h"

namespace signum {
namespace {

class PrecisionTest : public SmallDistillation {
 protected:
  PrecisionTest() {
    rows_.tokens = 9;
    for (int32_t i = 0; i < 10 * rows_.tokens; ++i) rows_.ids.push_back(i * 7 % 64);
    options_.calibration = rows_;
  }
  DistillReport Distil(ops::MatMulPrecision precision) {
    const auto done = DistillDelta(*ops::MakeCpuBackend(precision), models_, delta_.reader,
                                   options_, dir_ / "out", {});
    EXPECT_TRUE(done.has_value()) << done.error().message;
    return *done;
  }

  TokenRows rows_;
};

TEST_F(PrecisionTest, FidelityIsMeasuredInFloat32) {
  const DistillReport exact = Distil(ops::MatMulPrecision::kFp32);
  const DistillReport rounded = Distil(ops::MatMulPrecision::kBf16);
  EXPECT_NE(rounded.sealed.digest, exact.sealed.digest);
  const TokenRows held_out{{rows_.ids.end() - 2 * rows_.tokens, rows_.ids.end()}, rows_.tokens};
  const auto delta = DeltaReader::Open(*MappedFile::Open(dir_ / "out"), "out");
  const auto measured = EvaluateDelta(*ops::MakeCpuBackend(), models_, *delta, held_out, 1, 0, {});
  ASSERT_TRUE(measured.has_value()) << measured.error().message;
  EXPECT_EQ(rounded.fidelity.kl, measured->kl);
  EXPECT_EQ(rounded.fidelity.logit_mse, measured->logit_mse);
}

TEST(OptionsOfPrecision, KnowsTwo) {
  EXPECT_EQ(OptionsOfPrecision("fp32"), BackendOptions());
  EXPECT_TRUE(OptionsOfPrecision("fast")->tf32);
  EXPECT_EQ(OptionsOfPrecision("fast")->cpu_precision, ops::MatMulPrecision::kAuto);
  EXPECT_FALSE(OptionsOfPrecision("fp16").has_value());
}

}  // namespace
}  // namespace signum
