#include "gpu/model/config.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "gpu/model/rope_periods.h"
#include "storage/base/name.h"

namespace signum {
namespace {

using Json = nlohmann::json;

constexpr int64_t kLargest = int64_t{1} << 24;

Error Unknown(const std::string& what) {
  return Fail(Errc::kUnusable, "unknown_architecture", "config.json: " + what);
}

Result<int64_t> Integer(const Json& config, const char* name, std::optional<int64_t> fallback) {
  const auto at = config.find(name);
  if ((at == config.end() || at->is_null()) && fallback) return *fallback;
  if (at != config.end() && at->is_number_integer()) {
    const auto value = at->get<int64_t>();
    if (value > 0 && value <= kLargest) return value;
  }
  return Fail(Errc::kUnusable, "bad_config",
              std::string("config.json: '") + name + "' is not a number from 1 to 16777216");
}

bool Flag(const Json& config, const char* name) {
  const auto at = config.find(name);
  return at != config.end() && at->is_boolean() && at->get<bool>();
}

std::string Text(const Json& config, const char* name, const char* fallback) {
  const auto at = config.find(name);
  return at != config.end() && at->is_string() ? at->get<std::string>() : fallback;
}

Result<void> CheckKind(const Json& config) {
  static constexpr std::array<std::string_view, 4> kTypes = {"llama", "mistral", "qwen2", "qwen3"};
  const std::string type = Text(config, "model_type", "");
  if (std::find(kTypes.begin(), kTypes.end(), type) == kTypes.end()) {
    return Unknown("model_type '" + Printable(type) +
                   "' is not one of llama, mistral, qwen2, qwen3");
  }
  const std::string activation = Text(config, "hidden_act", "silu");
  if (activation != "silu")
    return Unknown("hidden_act '" + Printable(activation) + "' is not silu");
  for (const char* name : {"num_local_experts", "num_experts"}) {
    if (config.contains(name)) return Unknown(std::string("a mixture of experts (") + name + ")");
  }
  if (config.contains("quantization_config")) return Unknown("its weights are quantized");
  return {};
}

// Which layers slide: all (Mistral), those from max_window_layers on (Qwen2, where switched on), or
// as layer_types says.
Result<std::vector<int64_t>> Windows(const Json& config, int64_t layers) {
  std::vector<int64_t> windows(static_cast<size_t>(layers), 0);
  const auto given = config.find("sliding_window");
  if (given == config.end() || given->is_null()) return windows;
  const bool qwen = Text(config, "model_type", "").starts_with("qwen");
  if (qwen && !Flag(config, "use_sliding_window")) return windows;
  SIGNUM_ASSIGN(const int64_t window, Integer(config, "sliding_window", std::nullopt));
  const auto types = config.find("layer_types");
  const bool by_type = types != config.end() && types->is_array();
  if (by_type && types->size() != windows.size()) {
    return Fail(Errc::kUnusable, "bad_config", "config.json: 'layer_types' is not one a layer");
  }
  int64_t first = 0;
  if (qwen && !by_type) {
    SIGNUM_ASSIGN(first, Integer(config, "max_window_layers", layers));
  }
  for (int64_t l = 0; l < layers; ++l) {
    const auto at = static_cast<size_t>(l);
    const bool slides = by_type ? (*types)[at] == "sliding_attention" : l >= first;
    if (slides) windows[at] = window;
  }
  return windows;
}

Result<void> ReadShape(const Json& config, LlamaConfig& out) {
  SIGNUM_ASSIGN(out.hidden, Integer(config, "hidden_size", std::nullopt));
  SIGNUM_ASSIGN(out.intermediate, Integer(config, "intermediate_size", std::nullopt));
  SIGNUM_ASSIGN(out.layers, Integer(config, "num_hidden_layers", std::nullopt));
  SIGNUM_ASSIGN(out.heads, Integer(config, "num_attention_heads", std::nullopt));
  SIGNUM_ASSIGN(out.kv_heads, Integer(config, "num_key_value_heads", out.heads));
  SIGNUM_ASSIGN(out.head_dim,
                Integer(config, "head_dim", std::max<int64_t>(out.hidden / out.heads, 1)));
  SIGNUM_ASSIGN(out.max_positions, Integer(config, "max_position_embeddings", 2048));
  if (out.layers > 4096 || out.heads % out.kv_heads != 0 || out.head_dim % 2 != 0) {
    return Fail(Errc::kUnusable, "bad_config",
                "config.json: " + std::to_string(out.heads) + " heads, " +
                    std::to_string(out.kv_heads) + " key heads, head_dim " +
                    std::to_string(out.head_dim) + " and " + std::to_string(out.layers) +
                    " layers do not make a model");
  }
  return {};
}

}  // namespace

Result<LlamaConfig> ParseLlamaConfig(std::string_view config_json) {
  const Json config = Json::parse(config_json, nullptr, false);
  if (!config.is_object()) {
    return Fail(Errc::kUnusable, "bad_config", "config.json is not a JSON object");
  }
  SIGNUM_TRY(CheckKind(config));
  LlamaConfig out;
  SIGNUM_TRY(ReadShape(config, out));
  const auto eps = config.find("rms_norm_eps");
  if (eps != config.end() && eps->is_number()) out.norm_eps = eps->get<float>();
  out.tied_embeddings = Flag(config, "tie_word_embeddings");
  out.qk_norm = Text(config, "model_type", "") == "qwen3";
  SIGNUM_ASSIGN(out.windows, Windows(config, out.layers));
  SIGNUM_ASSIGN(out.inverse_periods, RopeInversePeriods(config, out.head_dim, out.max_positions));
  return out;
}

}  // namespace signum
