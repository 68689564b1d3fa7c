#include "storage/format/adapter.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/storage/format/format_support.h"
#include "tests/support/result_matchers.h"

namespace signum {
namespace {

using nlohmann::json;

json Config() {
  return {{"peft_type", "LORA"},
          {"r", 2},
          {"lora_alpha", 8},
          {"bias", "none"},
          {"use_rslora", false},
          {"use_dora", false},
          {"fan_in_fan_out", false},
          {"modules_to_save", nullptr},
          {"rank_pattern", json::object()}};
}

const std::string kQuery = "base_model.model.model.layers.0.self_attn.q_proj";
const std::string kUp = "base_model.model.model.layers.0.mlp.up_proj";

std::vector<TestTensor> Tensors() {
  return {Counting({kQuery + ".lora_A.weight", Dtype::kF32, {2, 6}}),
          Counting({kQuery + ".lora_B.weight", Dtype::kF32, {4, 2}}),
          Counting({kUp + ".lora_A.weight", Dtype::kBF16, {2, 6}}),
          Counting({kUp + ".lora_B.weight", Dtype::kF16, {9, 2}})};
}

Result<std::vector<AdapterWeight>> ParseText(const std::string& config,
                                             const std::vector<TestTensor>& tensors) {
  SIGNUM_ASSIGN(
      const auto adapter,
      Checkpoint::ParseFineTune({{"adapter_config.json", Source(config)},
                                 {"adapter_model.safetensors", Source(MakeSafetensors(tensors))}}));
  EXPECT_TRUE(adapter->is_adapter());
  return ParseAdapter(*adapter);
}
Result<std::vector<AdapterWeight>> Parse(const json& config,
                                         const std::vector<TestTensor>& tensors = Tensors()) {
  return ParseText(config.dump(), tensors);
}

TEST(Adapter, PairsFactorsAndScales) {
  const auto weights = Parse(Config());
  ASSERT_THAT(weights, Ok());
  ASSERT_EQ(weights->size(), 2U);
  EXPECT_EQ((*weights)[0].weight, "model.layers.0.mlp.up_proj.weight");
  EXPECT_EQ((*weights)[1].weight, "model.layers.0.self_attn.q_proj.weight");
  EXPECT_EQ((*weights)[0].scale, 4);
}

TEST(Adapter, ScaleFollowsItsOptions) {
  json config = Config();
  config["use_rslora"] = true;
  EXPECT_FLOAT_EQ(Parse(config).value()[0].scale, 8 / std::sqrt(2.0F));
  config = Config();
  config["alpha_pattern"] = {{"up_proj", 3}, {"layers.0.self_attn.q_proj", 5}};
  EXPECT_EQ(Parse(config).value()[0].scale, 1.5F);
  EXPECT_EQ(Parse(config).value()[1].scale, 2.5F);
  config = Config();
  config["rank_pattern"] = {{"mlp.up_proj", 1}};
  auto tensors = Tensors();
  tensors[2] = Counting({kUp + ".lora_A.weight", Dtype::kBF16, {1, 6}});
  tensors[3] = Counting({kUp + ".lora_B.weight", Dtype::kBF16, {9, 1}});
  EXPECT_EQ(Parse(config, tensors).value()[0].scale, 8);
}

struct Refused {
  const char* field;
  json value;
  const char* reason;
  const char* text;
};

TEST(Adapter, RefusesConfigsByField) {
  const Refused cases[] = {
      {"peft_type", "LOHA", "unsupported_adapter", "peft_type"},
      {"peft_type", nullptr, "unsupported_adapter", "peft_type"},
      {"use_dora", true, "unsupported_adapter", "use_dora"},
      {"fan_in_fan_out", true, "unsupported_adapter", "fan_in_fan_out"},
      {"modules_to_save", {"lm_head"}, "unsupported_adapter", "modules_to_save"},
      {"bias", "lora_only", "unsupported_adapter", "bias"},
      {"init_lora_weights", "pissa_niter_4", "unsupported_adapter", "pissa"},
      {"rank_pattern", {{"^model.*", 2}}, "unsupported_adapter", "regular expression"},
      {"alpha_pattern", {{"up_proj", 1}, {"mlp.up_proj", 2}}, "unsupported_adapter", "up_proj"},
      {"alpha_pattern", {{"up_proj", "x"}}, "bad_adapter", "alpha_pattern"},
      {"alpha_pattern", 3, "bad_adapter", "alpha_pattern"},
      {"r", 3, "bad_adapter", "lora_A"},
      {"r", "2", "bad_adapter", "'r'"},
      {"r", -1, "bad_adapter", "'r'"},
      {"lora_alpha", 0, "bad_adapter", "lora_alpha"},
      {"lora_alpha", 1e300, "bad_adapter", "lora_alpha"}};
  for (const Refused& wrong : cases) {
    json config = Config();
    config[wrong.field] = wrong.value;
    EXPECT_THAT(Parse(config), FailsWith(Errc::kUnusable, wrong.reason, wrong.text))
        << wrong.field << " " << wrong.value;
  }
  json config = Config();
  config.erase("r");
  EXPECT_THAT(Parse(config), FailsWith(Errc::kUnusable, "bad_adapter", "'r'"));
  EXPECT_THAT(ParseText("[]", Tensors()), FailsWith(Errc::kUnusable, "bad_config", "adapter"));
  EXPECT_THAT(ParseText("{", Tensors()), FailsWith(Errc::kUnusable, "bad_config", "adapter"));
}

TEST(Adapter, RefusesTensorsByName) {
  const std::tuple<size_t, TensorInfo, const char*> cases[] = {
      {0, {kQuery + ".lora_A.weight", Dtype::kF32, {3, 6}}, "bad_adapter"},
      {0, {kQuery + ".lora_A.weight", Dtype::kF64, {2, 6}}, "bad_adapter"},
      {0, {kQuery + ".lora_A.weight", Dtype::kI32, {2, 6}}, "bad_adapter"},
      {0, {kQuery + ".lora_A.weight", Dtype::kF32, {12}}, "bad_adapter"},
      {0, {kQuery + ".lora_A.weight", Dtype::kF32, {2, 0}}, "bad_adapter"},
      {0, {kQuery + ".lora_embedding_A", Dtype::kF32, {2, 6}}, "unsupported_adapter"},
      {0, {kQuery + ".lora_B.bias", Dtype::kF32, {4}}, "unsupported_adapter"},
      {0, {kQuery + ".lora_magnitude_vector", Dtype::kF32, {4}}, "unsupported_adapter"},
      {0, {"base_model.model.lm_head.weight", Dtype::kF32, {4, 6}}, "unsupported_adapter"},
      {0, {"base_model.model.lora_A.weight", Dtype::kF32, {2, 6}}, "unsupported_adapter"},
      {0, {"q_proj.lora_A.weight", Dtype::kF32, {2, 6}}, "unsupported_adapter"}};
  for (const auto& [at, info, reason] : cases) {
    auto tensors = Tensors();
    tensors[at] = Counting(info);
    EXPECT_THAT(Parse(Config(), tensors), FailsWith(Errc::kUnusable, reason, info.name))
        << info.name << " " << info.Describe();
  }
  auto tensors = Tensors();
  tensors.pop_back();
  EXPECT_THAT(Parse(Config(), tensors),
              FailsWith(Errc::kUnusable, "bad_adapter", "up_proj.lora_B.weight"));
}

// A folder with a config.json of its own is a checkpoint, whatever lies beside it.
TEST(Adapter, IsToldFromACheckpoint) {
  const auto weights = Source(MakeSafetensors(Tensors()));
  const auto both = Checkpoint::ParseFineTune({{"adapter_config.json", Source("{}")},
                                               {"config.json", Source("{}")},
                                               {"model.safetensors", weights}});
  ASSERT_THAT(both, Ok());
  EXPECT_FALSE((*both)->is_adapter());
  EXPECT_THAT(Checkpoint::ParseFineTune({{"model.safetensors", weights}}),
              FailsWith(Errc::kUnusable, "no_config", ""));
  EXPECT_THAT(
      Checkpoint::Parse({{"adapter_config.json", Source("{}")}, {"model.safetensors", weights}}),
      FailsWith(Errc::kUnusable, "no_config", ""));
}

}  // namespace
}  // namespace signum
