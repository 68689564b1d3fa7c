#include "gpu/model/config.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace signum {
namespace {

using Json = nlohmann::json;
using Windows = std::vector<int64_t>;

Json Llama() {
  return {{"model_type", "llama"},       {"hidden_size", 96},
          {"intermediate_size", 200},    {"num_hidden_layers", 3},
          {"num_attention_heads", 6},    {"num_key_value_heads", 2},
          {"tie_word_embeddings", true}, {"max_position_embeddings", 512},
          {"rms_norm_eps", 1e-5},        {"hidden_act", "silu"}};
}

Json With(Json config, const Json& changes) {
  config.update(changes);
  return config;
}

Json Without(Json config, const std::string& field) {
  config.erase(field);
  return config;
}

LlamaConfig Parsed(const Json& config) {
  const auto parsed = ParseLlamaConfig(config.dump());
  EXPECT_TRUE(parsed.has_value()) << (parsed ? "" : parsed.error().message);
  return parsed ? *parsed : LlamaConfig();
}

TEST(ParseLlamaConfig, ReadsEveryField) {
  const LlamaConfig config = Parsed(Llama());
  EXPECT_EQ(config.hidden, 96);
  EXPECT_EQ(config.intermediate, 200);
  EXPECT_EQ(config.layers, 3);
  EXPECT_EQ(config.heads, 6);
  EXPECT_EQ(config.kv_heads, 2);
  EXPECT_EQ(config.head_dim, 16);
  EXPECT_EQ(config.q_size(), 96);
  EXPECT_EQ(config.kv_size(), 32);
  EXPECT_EQ(config.max_positions, 512);
  EXPECT_FLOAT_EQ(config.norm_eps, 1e-5F);
  EXPECT_TRUE(config.tied_embeddings);
  EXPECT_FALSE(config.qk_norm);
  EXPECT_EQ(config.windows, Windows({0, 0, 0}));
  ASSERT_EQ(config.inverse_periods.size(), 8U);
  EXPECT_EQ(config.inverse_periods[0], 1);
}

TEST(ParseLlamaConfig, TakesAHeadSizeOfItsOwn) {
  const LlamaConfig config = Parsed(With(Llama(), {{"head_dim", 32}}));
  EXPECT_EQ(config.head_dim, 32);
  EXPECT_EQ(config.q_size(), 192);
  EXPECT_EQ(config.inverse_periods.size(), 16U);
}

TEST(ParseLlamaConfig, FillsInWhatTransformersWould) {
  Json config = Llama();
  for (const char* field : {"num_key_value_heads", "tie_word_embeddings", "rms_norm_eps",
                            "hidden_act", "max_position_embeddings"}) {
    config.erase(field);
  }
  const LlamaConfig llama = Parsed(config);
  EXPECT_EQ(llama.kv_heads, 6);
  EXPECT_FALSE(llama.tied_embeddings);
  EXPECT_FLOAT_EQ(llama.norm_eps, 1e-6F);
  EXPECT_EQ(llama.max_positions, 2048);

  config["num_attention_heads"] = 64;
  config["head_dim"] = 4;
  EXPECT_EQ(Parsed(With(config, {{"model_type", "mistral"}})).kv_heads, 8);
  EXPECT_EQ(Parsed(With(config, {{"model_type", "qwen2"}})).kv_heads, 32);
  config.erase("head_dim");
  EXPECT_EQ(Parsed(With(config, {{"model_type", "qwen3"}})).head_dim, 128);
}

TEST(ParseLlamaConfig, TakesNullForWhatTheOtherFieldsSay) {
  const LlamaConfig config = Parsed(With(Llama(), {{"model_type", "qwen3"},
                                                   {"num_key_value_heads", nullptr},
                                                   {"head_dim", nullptr},
                                                   {"rope_scaling", nullptr},
                                                   {"sliding_window", nullptr}}));
  EXPECT_EQ(config.kv_heads, 6);
  EXPECT_EQ(config.head_dim, 16);
}

TEST(ParseLlamaConfig, OnlyQwen3HasHeadNorms) {
  for (const char* type : {"llama", "mistral", "qwen2", "qwen3"}) {
    const Json config = With(Llama(), {{"model_type", type}});
    EXPECT_EQ(Parsed(config).qk_norm, type == std::string("qwen3")) << type;
  }
}

Windows WindowsOf(const std::string& type, const Json& changes) {
  return Parsed(With(With(Llama(), {{"model_type", type}}), changes)).windows;
}

TEST(ParseLlamaConfig, LlamaHasNoWindows) {
  EXPECT_EQ(WindowsOf("llama", {{"sliding_window", 5}}), Windows({0, 0, 0}));
}

TEST(ParseLlamaConfig, AllLayersOfMistralSlide) {
  EXPECT_EQ(WindowsOf("mistral", {{"sliding_window", 5}}), Windows({5, 5, 5}));
  EXPECT_EQ(WindowsOf("mistral", {{"sliding_window", nullptr}}), Windows({0, 0, 0}));
  EXPECT_EQ(WindowsOf("mistral", Json::object()), Windows({4096, 4096, 4096}));
}

TEST(ParseLlamaConfig, QwensSlideFromALayerOnWhereSwitchedOn) {
  for (const std::string type : {"qwen2", "qwen3"}) {
    Json config = {{"sliding_window", 5}, {"max_window_layers", 2}};
    EXPECT_EQ(WindowsOf(type, config), Windows({0, 0, 0}));
    config["use_sliding_window"] = false;
    EXPECT_EQ(WindowsOf(type, config), Windows({0, 0, 0}));
    config["use_sliding_window"] = true;
    EXPECT_EQ(WindowsOf(type, config), Windows({0, 0, 5}));
    config["max_window_layers"] = 0;
    EXPECT_EQ(WindowsOf(type, config), Windows({5, 5, 5}));
    config["max_window_layers"] = 9;
    EXPECT_EQ(WindowsOf(type, config), Windows({0, 0, 0}));
    config["layer_types"] = {"sliding_attention", "full_attention", "sliding_attention"};
    EXPECT_EQ(WindowsOf(type, config), Windows({5, 0, 5}));
  }
}

void ExpectRefused(const std::string& config, const std::string& reason, const std::string& part) {
  const auto parsed = ParseLlamaConfig(config);
  ASSERT_TRUE(parsed.has_error()) << config;
  EXPECT_EQ(parsed.error().code, Errc::kUnusable) << config;
  EXPECT_EQ(parsed.error().reason, reason) << parsed.error().message;
  EXPECT_NE(parsed.error().message.find(part), std::string::npos) << parsed.error().message;
}

void ExpectUnknown(const Json& changes, const std::string& part) {
  ExpectRefused(With(Llama(), changes).dump(), "unknown_architecture", part);
}

void ExpectBad(const Json& changes, const std::string& part) {
  ExpectRefused(With(Llama(), changes).dump(), "bad_config", part);
}

TEST(ParseLlamaConfig, NamesWhatItDoesNotKnow) {
  for (const char* type : {"mixtral", "gemma2", "phi3", "qwen2_moe", ""}) {
    ExpectUnknown({{"model_type", type}}, "model_type '" + std::string(type) + "'");
  }
  ExpectUnknown({{"model_type", 7}}, "model_type '7'");
  ExpectRefused(Without(Llama(), "model_type").dump(), "unknown_architecture", "model_type");
  for (const char* activation : {"gelu", "relu", "gelu_pytorch_tanh"}) {
    ExpectUnknown({{"hidden_act", activation}}, "hidden_act '" + std::string(activation) + "'");
  }
  ExpectUnknown({{"hidden_act", nullptr}}, "hidden_act");
  ExpectUnknown({{"num_local_experts", 8}}, "num_local_experts");
  ExpectUnknown({{"num_experts", 60}}, "num_experts");
  ExpectUnknown({{"quantization_config", Json::object()}}, "quantization_config");
  ExpectUnknown({{"partial_rotary_factor", 0.5}}, "partial_rotary_factor");
  for (const char* type : {"yarn", "dynamic", "longrope", "su", "mrope"}) {
    const Json scaling = {{"factor", 2.0}};
    const std::string named = "RoPE scaling '" + std::string(type) + "'";
    ExpectUnknown({{"rope_scaling", With(scaling, {{"rope_type", type}})}}, named);
    ExpectUnknown({{"rope_scaling", With(scaling, {{"type", type}})}}, named);
    ExpectUnknown({{"rope_parameters", With(scaling, {{"rope_type", type}})}}, named);
  }
  ExpectUnknown({{"model_type", "mistral"},
                 {"sliding_window", 5},
                 {"layer_types", {"full_attention", "chunked_attention", "full_attention"}}},
                "chunked_attention");
}

TEST(ParseLlamaConfig, NamesMissingFields) {
  for (const std::string field :
       {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"}) {
    ExpectRefused(Without(Llama(), field).dump(), "bad_config", "'" + field + "'");
    ExpectBad({{field, nullptr}}, "'" + field + "'");
  }
}

TEST(ParseLlamaConfig, NamesNonsense) {
  const std::vector<Json> nonsense = {
      0, -4, "64", 1.5, true, 1e300, int64_t{1} << 25, ~uint64_t{0}, Json::array()};
  for (const std::string field :
       {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
        "num_key_value_heads", "head_dim", "max_position_embeddings"}) {
    for (const Json& value : nonsense) ExpectBad({{field, value}}, "'" + field + "'");
  }
  ExpectBad({{"num_key_value_heads", 4}}, "num_attention_heads 6 is no multiple of");
  ExpectBad({{"num_key_value_heads", 12}}, "num_key_value_heads 12");
  ExpectBad({{"head_dim", 15}}, "head_dim 15");
  ExpectBad({{"head_dim", 1 << 24}}, "head_dim 16777216");
  ExpectBad({{"num_hidden_layers", 5000}}, "num_hidden_layers 5000");
  ExpectBad({{"tie_word_embeddings", "yes"}}, "'tie_word_embeddings'");
  for (const Json& eps : std::vector<Json>{0, -1e-6, 1, "small", nullptr}) {
    ExpectBad({{"rms_norm_eps", eps}}, "'rms_norm_eps'");
  }
}

TEST(ParseLlamaConfig, NamesWrongWindows) {
  const Json mistral = {{"model_type", "mistral"}};
  ExpectBad(With(mistral, {{"sliding_window", 0}}), "'sliding_window'");
  ExpectBad(With(mistral, {{"sliding_window", "wide"}}), "'sliding_window'");
  ExpectBad(With(mistral, {{"sliding_window", 4}, {"layer_types", {"full_attention"}}}),
            "'layer_types'");
  ExpectBad(With(mistral, {{"sliding_window", 4}, {"layer_types", 3}}), "'layer_types'");
  const Json qwen = {{"model_type", "qwen2"}, {"use_sliding_window", true}};
  ExpectBad(With(qwen, {{"max_window_layers", -1}}), "'max_window_layers'");
  ExpectBad(With(qwen, {{"use_sliding_window", 1}}), "'use_sliding_window'");
}

TEST(ParseLlamaConfig, RefusesWhatIsNoObject) {
  for (const char* text : {"", "{", "[]", "3", "null", "{\"model_type\": llama}"}) {
    ExpectRefused(text, "bad_config", "not a JSON object");
  }
}

}  // namespace
}  // namespace signum
