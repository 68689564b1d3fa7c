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
constexpr int64_t kMostLayers = 4096;

Error Unknown(const std::string& what) {
  return Fail(Errc::kUnusable, "unknown_architecture", "config.json: " + what);
}

Error Bad(const std::string& what) {
  return Fail(Errc::kUnusable, "bad_config", "config.json: " + what);
}

Result<int64_t> Integer(const Json& config, const char* name, std::optional<int64_t> fallback) {
  const auto at = config.find(name);
  if ((at == config.end() || at->is_null()) && fallback) return *fallback;
  if (at != config.end() && at->is_number_integer()) {
    const auto value = at->get<int64_t>();
    if (value > 0 && value <= kLargest) return value;
  }
  return Bad(std::string("'") + name + "' is not a number from 1 to 16777216");
}

// false where it is missing.
Result<bool> Flag(const Json& config, const char* name) {
  const auto at = config.find(name);
  if (at == config.end() || at->is_null()) return false;
  if (at->is_boolean()) return at->get<bool>();
  return Bad(std::string("'") + name + "' is neither true nor false");
}

std::string Text(const Json& config, const char* name, const char* fallback) {
  const auto at = config.find(name);
  if (at == config.end()) return fallback;
  return at->is_string() ? at->get<std::string>() : at->dump();
}

// What transformers takes where a field is missing (not null).
struct Family {
  std::string_view type;
  int64_t kv_heads = 0;  // 0: as many as heads
  int64_t head_dim = 0;  // 0: hidden_size / num_attention_heads
  bool windows = true;   // whether it has sliding windows at all
  bool switched = true;  // whether use_sliding_window turns them on
  bool qk_norm = false;
};
constexpr std::array<Family, 4> kFamilies = {
    Family{"llama", 0, 0, false, false, false}, Family{"mistral", 8, 0, true, false, false},
    Family{"qwen2", 32, 0, true, true, false}, Family{"qwen3", 32, 128, true, true, true}};
constexpr int64_t kDefaultWindow = 4096;
constexpr int64_t kDefaultWindowLayers = 28;

Result<Family> FindFamily(const Json& config) {
  const std::string type = Text(config, "model_type", "");
  for (const Family& family : kFamilies) {
    if (family.type == type) return family;
  }
  return Unknown("model_type '" + Printable(type) + "' is not one of llama, mistral, qwen2, qwen3");
}

Result<void> CheckKind(const Json& config) {
  const std::string activation = Text(config, "hidden_act", "silu");
  if (activation != "silu")
    return Unknown("hidden_act '" + Printable(activation) + "' is not silu");
  for (const char* name : {"num_local_experts", "num_experts"}) {
    if (config.contains(name)) return Unknown(std::string("a mixture of experts (") + name + ")");
  }
  if (config.contains("quantization_config")) {
    return Unknown("its weights are quantized (quantization_config)");
  }
  return {};
}

// The window of layers that slide; 0 where none does.
Result<int64_t> Window(const Json& config, const Family& family) {
  if (!family.windows) return 0;
  if (family.switched) {
    SIGNUM_ASSIGN(const bool on, Flag(config, "use_sliding_window"));
    if (!on) return 0;
  }
  const auto given = config.find("sliding_window");
  if (given != config.end() && given->is_null()) return 0;
  return Integer(config, "sliding_window", kDefaultWindow);
}

// Whether each layer slides, as layer_types says.
Result<std::vector<bool>> SlidingLayers(const Json& types, int64_t layers) {
  std::vector<bool> sliding;
  if (!types.is_array() || types.size() != static_cast<size_t>(layers)) {
    return Bad("'layer_types' is not one a layer");
  }
  for (const Json& type : types) {
    if (type != "sliding_attention" && type != "full_attention") {
      return Unknown("layer_types has '" + Printable(type.dump()) + "'");
    }
    sliding.push_back(type == "sliding_attention");
  }
  return sliding;
}

// Which layers slide: as layer_types says, else all (Mistral), or those from max_window_layers on
// (Qwen).
Result<std::vector<int64_t>> Windows(const Json& config, const Family& family, int64_t layers) {
  std::vector<int64_t> windows(static_cast<size_t>(layers), 0);
  SIGNUM_ASSIGN(const int64_t window, Window(config, family));
  if (window == 0) return windows;
  if (const auto types = config.find("layer_types"); types != config.end() && !types->is_null()) {
    SIGNUM_ASSIGN(const std::vector<bool> sliding, SlidingLayers(*types, layers));
    for (size_t l = 0; l < windows.size(); ++l) windows[l] = sliding[l] ? window : 0;
    return windows;
  }
  int64_t first = 0;
  const auto from = config.find("max_window_layers");
  const bool all = from != config.end() && *from == 0;
  if (family.switched && !all) {
    SIGNUM_ASSIGN(first, Integer(config, "max_window_layers", kDefaultWindowLayers));
  }
  for (int64_t l = first; l < layers; ++l) windows[static_cast<size_t>(l)] = window;
  return windows;
}

// A size that may be missing, or null for what the others make it.
Result<int64_t> Derived(const Json& config, const char* name, int64_t missing, int64_t null) {
  return Integer(config, name, config.contains(name) || missing == 0 ? null : missing);
}

Result<void> ReadHeads(const Json& config, const Family& family, LlamaConfig& out) {
  SIGNUM_ASSIGN(out.heads, Integer(config, "num_attention_heads", std::nullopt));
  SIGNUM_ASSIGN(out.kv_heads, Derived(config, "num_key_value_heads", family.kv_heads, out.heads));
  SIGNUM_ASSIGN(out.head_dim, Derived(config, "head_dim", family.head_dim,
                                      std::max<int64_t>(out.hidden / out.heads, 1)));
  if (out.heads % out.kv_heads != 0) {
    return Bad("num_attention_heads " + std::to_string(out.heads) +
               " is no multiple of num_key_value_heads " + std::to_string(out.kv_heads));
  }
  if (out.head_dim % 2 != 0 || out.q_size() > kLargest) {
    return Bad("head_dim " + std::to_string(out.head_dim) + " is odd or too large for " +
               std::to_string(out.heads) + " heads");
  }
  return {};
}

Result<void> ReadShape(const Json& config, const Family& family, LlamaConfig& out) {
  SIGNUM_ASSIGN(out.hidden, Integer(config, "hidden_size", std::nullopt));
  SIGNUM_ASSIGN(out.intermediate, Integer(config, "intermediate_size", std::nullopt));
  SIGNUM_ASSIGN(out.layers, Integer(config, "num_hidden_layers", std::nullopt));
  SIGNUM_ASSIGN(out.max_positions, Integer(config, "max_position_embeddings", 2048));
  if (out.layers > kMostLayers) {
    return Bad("num_hidden_layers " + std::to_string(out.layers) + " is more than " +
               std::to_string(kMostLayers));
  }
  return ReadHeads(config, family, out);
}

Result<float> NormEps(const Json& config) {
  const auto at = config.find("rms_norm_eps");
  if (at == config.end()) return LlamaConfig().norm_eps;
  const double eps = at->is_number() ? at->get<double>() : 0;
  if (eps > 0 && eps < 1) return static_cast<float>(eps);
  return Bad("'rms_norm_eps' is not a number between 0 and 1");
}

}  // namespace

Result<LlamaConfig> ParseLlamaConfig(std::string_view config_json) {
  const Json config = Json::parse(config_json, nullptr, false);
  if (!config.is_object()) {
    return Fail(Errc::kUnusable, "bad_config", "config.json is not a JSON object");
  }
  SIGNUM_ASSIGN(const Family family, FindFamily(config));
  SIGNUM_TRY(CheckKind(config));
  LlamaConfig out;
  SIGNUM_TRY(ReadShape(config, family, out));
  SIGNUM_ASSIGN(out.norm_eps, NormEps(config));
  SIGNUM_ASSIGN(out.tied_embeddings, Flag(config, "tie_word_embeddings"));
  out.qk_norm = family.qk_norm;
  SIGNUM_ASSIGN(out.windows, Windows(config, family, out.layers));
  SIGNUM_ASSIGN(out.inverse_periods, RopeInversePeriods(config, out.head_dim, out.max_positions));
  return out;
}

}  // namespace signum
