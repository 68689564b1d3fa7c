// Distillation from delta to delta, on the small family.

#include "gpu/distill/distill.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gpu/distill/train_state.h"
#include "storage/base/file.h"
#include "tests/gpu/model/model_support.h"
#include "tests/support/result_matchers.h"

namespace signum {
namespace {

using testing::HasSubstr;

class DistillTest : public testing::Test {
 protected:
  void SetUp() override {
    CompressOptions options;
    options.exact_embeddings = true;
    Start("kjv", options);
    options_.train.steps = 6;
    options_.calibration_rows = 20;
    options_.row_tokens = 48;
    options_.held_out_rows = 4;
    options_.threads = 2;
  }

  void Start(const std::string& fine, const CompressOptions& options) {
    fine_ = OpenTiny(fine);
    delta_ = MakeDelta(base_, fine_, options, dir_);
    models_ = {base_.checkpoint,          base_.checkpoint->config_json(),
               base_.hashed.BaseDigest(), base_.blobs,
               fine_.checkpoint,          fine_.checkpoint->config_json()};
  }

  Result<DistillReport> Run(const std::string& name = "out", const DistillCallback& callback = {}) {
    return DistillDelta(*backend_, models_, delta_.reader, options_, dir_.path() / name, callback);
  }
  std::string Bytes(const std::string& name) {
    return *ReadFile(dir_.path() / name, uint64_t{1} << 30);
  }
  // What a state file holds, whatever it is for.
  TrainState State(const std::string& name) {
    const GoldenFile file(dir_.path() / name);
    return {std::stoll(file.Metadata("step")), file.Floats("scales"), file.Floats("first"),
            file.Floats("second")};
  }
  Fidelity Before() {
    TokenRows rows = HeldOut();
    return *EvaluateDelta(*backend_, models_, delta_.reader, rows, 2, 0, {});
  }
  TokenRows HeldOut() {
    TokenRows rows;
    rows.tokens = 33;
    rows.ids.assign(4 * 33, 0);
    for (size_t i = 0; i < rows.ids.size(); ++i)
      rows.ids[i] = static_cast<int32_t>(3 + i * 7 % 4000);
    return rows;
  }

  TempDir dir_;
  TestCheckpoint base_ = OpenTiny("base");
  TestCheckpoint fine_;
  TestDelta delta_;
  DeltaModels models_;
  DistillOptions options_;
  std::unique_ptr<ops::Backend> backend_ = ops::MakeCpuBackend();
};

TEST_F(DistillTest, ImprovesTheDeltaAndKeepsItsShape) {
  std::vector<std::string> phases;
  int64_t last_step = 0;
  const auto report = Run("out", [&](const DistillProgress& progress) {
    if (phases.empty() || phases.back() != progress.phase) phases.emplace_back(progress.phase);
    EXPECT_GE(progress.done, 0);
    EXPECT_LE(progress.done, 1);
    if (progress.phase == "distill") last_step = progress.step;
    return true;
  });
  ASSERT_TRUE(report.has_value()) << report.error().message;
  EXPECT_EQ(phases, (std::vector<std::string>{"calibrate", "layerwise", "distill", "evaluate"}));
  EXPECT_EQ(last_step, 6);
  EXPECT_EQ(report->steps, 6);
  EXPECT_EQ(report->calibration_tokens, 20 * 48);
  const auto made = *DeltaReader::Open(*MappedFile::Open(dir_.path() / "out"), "out");
  EXPECT_EQ(made->file()->size(), delta_.reader->file()->size());
  EXPECT_EQ(made->header().codecs, delta_.reader->header().codecs);
  EXPECT_EQ(report->sealed.digest, Sha256::Of(AsBytes(Bytes("out"))));
  ASSERT_FALSE(made->CheckContents().has_error());
  const Fidelity after = *EvaluateDelta(*backend_, models_, made, HeldOut(), 2, 0, {});
  EXPECT_LT(after.logit_mse, 0.5 * Before().logit_mse);
  EXPECT_NEAR(after.perplexity_fine, Before().perplexity_fine, 1e-9);
}

TEST_F(DistillTest, GivesTheSameBytesOnAnyNumberOfThreads) {
  ASSERT_TRUE(Run("a").has_value());
  options_.threads = 1;
  ASSERT_TRUE(Run("b").has_value());
  options_.threads = 3;
  options_.memory_bytes = 1;  // layers are streamed, activations computed again
  ASSERT_TRUE(Run("c").has_value());
  EXPECT_EQ(Bytes("a"), Bytes("b"));
  EXPECT_EQ(Bytes("a"), Bytes("c"));
  options_.train.seed = 1;
  ASSERT_TRUE(Run("d").has_value());
  EXPECT_NE(Bytes("a"), Bytes("d"));
}

TEST_F(DistillTest, GivesTheSameBytesOnAnyNumberOfThreadsInBf16Too) {
  options_.train.steps = 2;
  ASSERT_TRUE(Run("fp32").has_value());
  backend_ = ops::MakeCpuBackend(ops::MatMulPrecision::kBf16);
  std::vector<std::string> bytes;
  for (const int threads : {1, 2, 3}) {
    options_.threads = threads;
    ASSERT_TRUE(Run("bf16").has_value());
    bytes.push_back(Bytes("bf16"));
  }
  EXPECT_EQ(bytes[1], bytes[0]);
  EXPECT_EQ(bytes[2], bytes[0]);
  EXPECT_NE(bytes[0], Bytes("fp32"));
}

TEST_F(DistillTest, LayerwiseImprovesWithoutTraining) {
  options_.method = Method::kLayerwise;
  const auto report = Run();
  ASSERT_TRUE(report.has_value()) << report.error().message;
  EXPECT_EQ(report->steps, 0);
  const auto made = *DeltaReader::Open(*MappedFile::Open(dir_.path() / "out"), "out");
  const Fidelity after = *EvaluateDelta(*backend_, models_, made, HeldOut(), 2, 0, {});
  EXPECT_LT(after.logit_mse, 0.165 * Before().logit_mse);
}

// The bits of a sign part.
std::vector<bool> Bits(const DeltaReader& delta, const std::string& part) {
  const std::string bytes = ReadWhole(*delta.OpenPart(*delta.FindPart(part)));
  std::vector<bool> bits;
  for (size_t i = 0; i < bytes.size() * 8; ++i) bits.push_back((bytes[i / 8] >> (i % 8)) & 1);
  return bits;
}

TEST_F(DistillTest, ThePapersSignOfAZeroIsPositive) {
  CompressOptions compress;
  compress.exact_embeddings = true;
  compress.scales = ScaleKind::kTensor;
  Start("sqlite", compress);
  options_.layerwise_first = false;
  options_.train.steps = 1;
  ASSERT_TRUE(Run().has_value());
  const auto made = *DeltaReader::Open(*MappedFile::Open(dir_.path() / "out"), "out");
  const std::string name = "model.layers.1.mlp.down_proj.weight";
  const auto values = [&](const TestCheckpoint& checkpoint) {
    const size_t at = *checkpoint.checkpoint->Find(name);
    const std::string bytes = ReadWhole(**checkpoint.checkpoint->Open(at));
    return Values(checkpoint.checkpoint->tensors()[at], AsBytes(bytes));
  };
  const std::vector<float> before = values(base_);
  const std::vector<float> after = values(fine_);
  std::vector<bool> expected(before.size());
  int zeros = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    expected[i] = after[i] >= before[i];
    zeros += after[i] == before[i] ? 1 : 0;
  }
  EXPECT_GT(zeros, 100);
  EXPECT_EQ(Bits(*made, name + ".sign"), expected);
}

TEST_F(DistillTest, TakesEveryKindOfScaleAndPlane) {
  for (const ScaleKind kind : {ScaleKind::kTensor, ScaleKind::kRow, ScaleKind::kRowCol}) {
    for (const int planes : {1, 2}) {
      for (const Codec codec : {Codec::kSign1, Codec::kSign1Sparse}) {
        CompressOptions options;
        options.scales = kind;
        options.planes = planes;
        options.codec = codec;
        Start("pysrc", options);
        options_.train.steps = 2;
        const auto report = Run();
        ASSERT_TRUE(report.has_value()) << report.error().message;
        const auto made = *DeltaReader::Open(*MappedFile::Open(dir_.path() / "out"), "out");
        EXPECT_FALSE(made->CheckContents().has_error());
        const Fidelity after = *EvaluateDelta(*backend_, models_, made, HeldOut(), 2, 0, {});
        EXPECT_LT(after.logit_mse, Before().logit_mse)
            << ScaleKindName(kind) << " " << planes << " " << CodecName(codec);
      }
    }
  }
}

TEST_F(DistillTest, AKilledTrainingGoesOnFromItsState) {
  ASSERT_TRUE(Run("whole").has_value());
  options_.state_file = dir_.path() / "state";
  int64_t steps = 0;
  const auto stopped = Run("stopped", [&](const DistillProgress& progress) {
    steps = std::max(steps, progress.step);
    return progress.step < 3;
  });
  ASSERT_TRUE(stopped.has_error());
  EXPECT_EQ(stopped.error().code, Errc::kCancelled);
  EXPECT_FALSE(std::filesystem::exists(dir_.path() / "stopped")) << "nothing half done is left";
  int64_t first = 0;
  ASSERT_TRUE(Run("resumed", [&](const DistillProgress& progress) {
                if (first == 0) first = progress.step;
                return true;
              }).has_value());
  EXPECT_EQ(first, 4);
  EXPECT_EQ(Bytes("resumed"), Bytes("whole"));
}

TEST_F(DistillTest, AStateOfOtherProductsIsLeftAlone) {
  options_.state_file = dir_.path() / "state";
  const auto three = [](const DistillProgress& progress) { return progress.step < 3; };
  ASSERT_TRUE(Run("stopped", three).has_error());
  options_.exact_products = false;
  int64_t first = 0;
  ASSERT_TRUE(Run("fast", [&](const DistillProgress& progress) {
                if (first == 0) first = progress.step;
                return true;
              }).has_value());
  EXPECT_EQ(first, 1);
}

// What a gate does that refuses one bit: the same job trains the same fine-tune with exact
// embeddings.
TEST_F(DistillTest, OfAStateOfAnotherDeltaTheRowsAloneAreTaken) {
  options_.state_file = dir_.path() / "state";
  const auto three = [](const DistillProgress& progress) { return progress.step < 3; };
  ASSERT_TRUE(Run("stopped", three).has_error());
  Start("kjv", {});
  int64_t first = 0;
  double generated = 1;
  const auto resumed = Run("resumed", [&](const DistillProgress& progress) {
    if (first == 0) first = progress.step;
    if (progress.phase == "calibrate") generated = std::min(generated, progress.done);
    return true;
  });
  ASSERT_TRUE(resumed.has_value()) << resumed.error().message;
  EXPECT_EQ(first, 1);
  EXPECT_GE(generated, 0.9) << "the rows were made already";
  options_.state_file.clear();
  ASSERT_TRUE(Run("whole").has_value());
  EXPECT_EQ(Bytes("resumed"), Bytes("whole"));
}

TEST_F(DistillTest, AStateOfAnotherTrainingIsLeftAlone) {
  ASSERT_TRUE(Run("whole").has_value());
  options_.state_file = dir_.path() / "state";
  ASSERT_FALSE(WriteFileAtomically(options_.state_file, AsBytes("damaged")).has_error());
  ASSERT_TRUE(Run("again").has_value());
  EXPECT_EQ(Bytes("again"), Bytes("whole"));
}

TEST_F(DistillTest, RefusesWrongTokens) {
  options_.calibration = HeldOut();
  options_.calibration->ids[40] = 4096;
  const auto outside = Run();
  ASSERT_TRUE(outside.has_error());
  EXPECT_EQ(outside.error().reason, "token_out_of_range");
  EXPECT_NE(outside.error().message.find("row 2, token 8: id 4096"), std::string::npos)
      << outside.error().message;
  options_.calibration = TokenRows{};
  EXPECT_EQ(Run().error().reason, "no_tokens");
  EXPECT_FALSE(std::filesystem::exists(dir_.path() / "out"));
}

TEST_F(DistillTest, NamesTheStepWhereTheLossIsNotANumberAndKeepsTheLastGoodScales) {
  options_.state_file = dir_.path() / "good";
  const auto one_step = [](const DistillProgress& progress) { return progress.step < 1; };
  ASSERT_EQ(Run("out", one_step).error().code, Errc::kCancelled);
  options_.train.learning_rate = 1e30;
  options_.train.column_rate = 1e30;
  options_.state_file = dir_.path() / "bad";
  const auto report = Run();
  ASSERT_TRUE(report.has_error());
  EXPECT_EQ(report.error().reason, "loss_not_finite");
  EXPECT_THAT(report.error().message, HasSubstr("step 2"));
  EXPECT_FALSE(std::filesystem::exists(dir_.path() / "out"));
  // The state is that of the step before, the first one here, as far as it went.
  const TrainState kept = State("bad");
  EXPECT_EQ(kept.step, 1);
  EXPECT_EQ(kept.first, State("good").first) << "moments of the same first step";
  EXPECT_EQ(kept.scales.size(), kept.first.size());
}

TEST_F(DistillTest, SaysWhichModelsItCannotRun) {
  ASSERT_FALSE(CheckDistillable(models_).has_error());
  models_.fine_config = R"({"model_type":"mixtral","hidden_size":8})";
  const auto refused = CheckDistillable(models_);
  ASSERT_TRUE(refused.has_error());
  EXPECT_EQ(refused.error().reason, "unknown_architecture");
  EXPECT_NE(refused.error().message.find("mixtral"), std::string::npos);
}

}  // namespace
}  // namespace signum
