#include "gpu/distill/make_delta.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "tests/gpu/model/model_support.h"

namespace signum {
namespace {

using testing::HasSubstr;

class MakeDeltaTest : public testing::Test {
 protected:
  MakeDeltaTest() {
    setenv("SIGNUM_CUDA_MODULE", "/nonexistent/module.so", 1);
    options_.distill.train.steps = 1;
    options_.distill.calibration_rows = 4;
    options_.distill.row_tokens = 8;
    options_.distill.held_out_rows = 2;
    options_.distill.threads = options_.compress.threads = 1;
  }
  ~MakeDeltaTest() override { unsetenv("SIGNUM_CUDA_MODULE"); }

  Result<MadeDelta> Make() {
    const CheckpointBlobSource blobs(*base_.blobs, *fine_.blobs);
    const DeltaModels models{base_.checkpoint, config_,          base_.hashed.BaseDigest(),
                             base_.blobs,      fine_.checkpoint, config_};
    return signum::MakeDelta({models, fine_.hashed.recipe, blobs}, options_, dir_ / "out", {});
  }
  MadeDelta Made() {
    auto made = Make();
    EXPECT_TRUE(made.has_value()) << made.error().message;
    return made ? *std::move(made) : MadeDelta();
  }
  void Configure(const std::string& field, const nlohmann::json& value) {
    nlohmann::json config = nlohmann::json::parse(config_);
    config[field] = value;
    config_ = config.dump();
  }

  TempDir dir_;
  TestCheckpoint base_ = OpenVariant("llama3"), fine_ = OpenVariant("llama3", "fine");
  std::string config_ = base_.checkpoint->config_json();
  MakeDeltaOptions options_;
};

TEST_F(MakeDeltaTest, SaysNothingOfADeviceNobodyExpected) {
  for (const char* device : {"auto", "cpu"}) {
    options_.compress.device = device;
    const MadeDelta made = Made();
    EXPECT_EQ(made.method, Method::kDistill);
    EXPECT_EQ(made.device_note, "") << device;
  }
}

TEST_F(MakeDeltaTest, TakesTheCpuForADeviceThatIsMissingAndSaysSo) {
  const MadeDelta on_cpu = Made();
  options_.compress.device = "cuda:99";
  const MadeDelta made = Made();
  EXPECT_EQ(made.method, Method::kDistill);
  EXPECT_THAT(made.device_note, HasSubstr("running on the CPU: cuda:99: "));
  EXPECT_EQ(made.summary.sealed.digest, on_cpu.summary.sealed.digest);
}

TEST_F(MakeDeltaTest, CompressesOnTheCpuAndSaysSoWhereADeviceWasNamed) {
  options_.distill.method = Method::kNone;
  EXPECT_EQ(Made().device_note, "");
  options_.compress.device = "cuda:0";
  EXPECT_EQ(Made().device_note, "compressed on the CPU; there was nothing to distil");
}

TEST_F(MakeDeltaTest, RefusesDevicesThatAreNone) {
  options_.compress.device = "tpu";
  EXPECT_EQ(Make().error().reason, "bad_device");
}

TEST_F(MakeDeltaTest, CompressesModelsThatItCannotRunAndSaysWhy) {
  const std::string good = config_;
  const std::vector<std::tuple<std::string, nlohmann::json, std::string>> cases = {
      {"model_type", "mixtral", "mixtral"},
      {"num_local_experts", 8, "num_local_experts"},
      {"hidden_act", "gelu", "gelu"},
      {"rope_scaling", {{"rope_type", "yarn"}, {"factor", 4.0}}, "yarn"},
      {"num_attention_heads", 0, "num_attention_heads"},
      {"num_key_value_heads", 3, "num_key_value_heads 3"},
      {"intermediate_size", 65, "mlp.gate_proj"}};
  for (const auto& [field, value, reason] : cases) {
    config_ = good;
    Configure(field, value);
    options_.gate = {};
    const MadeDelta made = Made();
    EXPECT_EQ(made.method, Method::kNone) << field;
    EXPECT_THAT(made.method_note, HasSubstr(reason));
    EXPECT_FALSE(made.distilled.has_value());
    EXPECT_GT(made.summary.linear_weights, 0U) << "compressed all the same";
    options_.gate.max_kl = 1;
    const auto gated = Make();
    ASSERT_TRUE(gated.has_error()) << field;
    EXPECT_THAT(gated.error().message, HasSubstr(reason)) << "a gate needs figures";
  }
}

}  // namespace
}  // namespace signum
