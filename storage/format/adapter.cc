#include "storage/format/adapter.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "storage/base/name.h"
#include "storage/format/canonical_json.h"

namespace signum {

namespace {

using nlohmann::json;

constexpr std::string_view kConfig = "adapter_config.json";
constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::string_view kSuffixA = ".lora_A.weight";
constexpr std::string_view kSuffixB = ".lora_B.weight";

Error Bad(const std::string& why) {
  return Fail(Errc::kUnusable, "bad_adapter", std::string(kConfig) + ": " + why);
}
Error Unsupported(const std::string& why) {
  return Fail(Errc::kUnusable, "unsupported_adapter",
              why + "; merge the adapter into its base and upload the whole checkpoint");
}

// Values by the names of modules, as PEFT's rank_pattern and alpha_pattern have them.
using Pattern = std::map<std::string, double>;

struct Config {
  double rank = 0;
  double alpha = 0;
  bool root = false;  // use_rslora: over the root of the rank
  Pattern ranks, alphas;
};

// True where a member is absent, null, false, empty, or one of the harmless values.
bool IsOff(const json& config, const char* name, std::string_view harmless = {}) {
  const auto at = config.find(name);
  if (at == config.end() || at->is_null() || *at == false) return true;
  if ((at->is_array() || at->is_object()) && at->empty()) return true;
  return at->is_string() && at->get_ref<const std::string&>() == harmless;
}

// What changes the arithmetic in a way that factors and a scale can't follow.
Result<void> CheckSupported(const json& config) {
  const auto kind = config.find("peft_type");
  if (kind == config.end() || *kind != "LORA") {
    return Unsupported("adapter_config.json: peft_type is not \"LORA\"");
  }
  for (const char* name : {"use_dora", "fan_in_fan_out", "modules_to_save", "lora_bias",
                           "use_qalora", "trainable_token_indices", "layer_replication",
                           "target_parameters", "alora_invocation_tokens"}) {
    if (IsOff(config, name)) continue;
    return Unsupported("adapter_config.json: " + std::string(name) + " is not supported");
  }
  if (!IsOff(config, "bias", "none")) {
    return Unsupported("adapter_config.json: bias is not \"none\"");
  }
  const auto init = config.find("init_lora_weights");
  if (init != config.end() && init->is_string()) {
    const auto& how = init->get_ref<const std::string&>();
    for (std::string_view changes_base : {"pissa", "olora", "corda", "loftq"}) {
      if (!how.starts_with(changes_base)) continue;
      return Unsupported("adapter_config.json: init_lora_weights '" + Printable(how) +
                         "' changes the base's weights");
    }
  }
  return {};
}

Result<double> Positive(const json& value, const std::string& name) {
  const double number = value.is_number() ? value.get<double>() : 0;
  if (number >= 1e-6 && number <= 1e6) return number;
  return Bad("'" + name + "' is no number from 1e-6 to 1e6");
}

Result<Pattern> ReadPattern(const json& config, const char* name) {
  Pattern pattern;
  const auto at = config.find(name);
  if (at == config.end() || at->is_null()) return pattern;
  if (!at->is_object()) return Bad("'" + std::string(name) + "' is not an object");
  for (const auto& [key, value] : at->items()) {
    // PEFT takes them for regular expressions; most are the plain ends of modules' names.
    if (key.find_first_of("\\^$*+?()[]{}|") != std::string::npos) {
      return Unsupported("adapter_config.json: " + std::string(name) + " '" + Printable(key) +
                         "' is a regular expression");
    }
    SIGNUM_ASSIGN(pattern[key], Positive(value, std::string(name) + "['" + Printable(key) + "']"));
  }
  return pattern;
}

Result<Config> ReadConfig(std::string_view text) {
  Result<json> parsed = ParseJson(text);
  if (!parsed) return Bad(parsed.error().message);
  if (!parsed->is_object()) return Bad("is not a JSON object");
  const json& value = *parsed;
  SIGNUM_TRY(CheckSupported(value));
  Config config;
  for (const auto& [name, to] : {std::pair{"r", &config.rank}, {"lora_alpha", &config.alpha}}) {
    if (!value.contains(name)) return Bad("'" + std::string(name) + "' is missing");
    SIGNUM_ASSIGN(*to, Positive(value[name], name));
  }
  config.root = !IsOff(value, "use_rslora");
  SIGNUM_ASSIGN(config.ranks, ReadPattern(value, "rank_pattern"));
  SIGNUM_ASSIGN(config.alphas, ReadPattern(value, "alpha_pattern"));
  return config;
}

// The value of the keys that end the module's name; they must agree.
Result<double> Lookup(const Pattern& pattern, const std::string& module, double otherwise) {
  std::optional<double> found;
  for (const auto& [key, value] : pattern) {
    if (module != key && !module.ends_with("." + key)) continue;
    if (found && *found != value) {
      return Unsupported("adapter_config.json: patterns disagree on module '" + Printable(module) +
                         "'");
    }
    found = value;
  }
  return found.value_or(otherwise);
}

class AdapterParser {
 public:
  explicit AdapterParser(const Checkpoint& adapter) : adapter_(adapter) {}

  Result<std::vector<AdapterWeight>> Run() {
    SIGNUM_ASSIGN(config_, ReadConfig(adapter_.config_json()));
    for (size_t i = 0; i < adapter_.tensors().size(); ++i) SIGNUM_TRY(Sort(i));
    std::vector<AdapterWeight> weights;
    for (const auto& [module, factors] : modules_) {
      SIGNUM_ASSIGN(AdapterWeight weight, Join(module, factors));
      weights.push_back(std::move(weight));
    }
    std::sort(weights.begin(), weights.end(),
              [](const auto& a, const auto& b) { return a.weight < b.weight; });
    return weights;
  }

 private:
  struct Factors {
    std::optional<size_t> a, b;
  };

  Error BadTensor(const std::string& name, const std::string& why) const {
    return Fail(Errc::kUnusable, "bad_adapter", "tensor '" + Printable(name) + "' " + why);
  }

  Result<void> Sort(size_t index) {
    const std::string& name = adapter_.tensors()[index].name;
    std::string_view rest = name;
    for (std::string_view suffix : {kSuffixA, kSuffixB}) {
      if (!rest.starts_with(kPrefix) || !rest.ends_with(suffix)) continue;
      rest = rest.substr(kPrefix.size());
      if (rest.size() <= suffix.size()) break;
      Factors& factors = modules_[std::string(rest.substr(0, rest.size() - suffix.size()))];
      (suffix == kSuffixA ? factors.a : factors.b) = index;
      return {};
    }
    return Unsupported("tensor '" + Printable(name) +
                       "' is no lora_A or lora_B of a linear weight");
  }

  Result<AdapterWeight> Join(const std::string& module, const Factors& factors) const {
    const std::string name = std::string(kPrefix) + module;
    if (!factors.a || !factors.b) {
      return BadTensor(name + std::string(factors.a ? kSuffixB : kSuffixA), "is missing");
    }
    const TensorInfo& a = adapter_.tensors()[*factors.a];
    const TensorInfo& b = adapter_.tensors()[*factors.b];
    for (const TensorInfo* info : {&a, &b}) {
      const bool fits = IsFloat(info->dtype) && info->dtype != Dtype::kF64 &&
                        info->shape.size() == 2 && info->elements() > 0;
      if (!fits) return BadTensor(info->name, "is " + info->Describe() + ", not a float matrix");
    }
    SIGNUM_ASSIGN(const double rank, Lookup(config_.ranks, module, config_.rank));
    SIGNUM_ASSIGN(const double alpha, Lookup(config_.alphas, module, config_.alpha));
    if (a.shape[0] != b.shape[1] || static_cast<double>(a.shape[0]) != rank) {
      return BadTensor(a.name, "is " + a.Describe() + " beside " + b.Describe() +
                                   ", which does not fit each other and the rank in the config");
    }
    const auto scale = static_cast<float>(alpha / (config_.root ? std::sqrt(rank) : rank));
    return AdapterWeight{module + ".weight", *factors.a, *factors.b, scale};
  }

  const Checkpoint& adapter_;
  Config config_;
  std::map<std::string, Factors> modules_;
};

}  // namespace

bool IsAdapter(const std::vector<CheckpointFile>& files) {
  const auto has = [&](std::string_view path) {
    return std::any_of(files.begin(), files.end(),
                       [&](const CheckpointFile& file) { return file.path == path; });
  };
  return has(kConfig) && !has("config.json");
}

Result<std::vector<AdapterWeight>> ParseAdapter(const Checkpoint& adapter) {
  return AdapterParser(adapter).Run();
}

}  // namespace signum
