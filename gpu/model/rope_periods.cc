#include "gpu/model/rope_periods.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>
#include <optional>
#include <string>

#include "storage/base/name.h"

namespace signum {
namespace {

using Json = nlohmann::json;

Result<double> Positive(const Json& object, const char* name, std::optional<double> fallback) {
  const auto at = object.find(name);
  if ((at == object.end() || at->is_null()) && fallback) return *fallback;
  if (at != object.end() && at->is_number()) {
    const auto value = at->get<double>();
    if (std::isfinite(value) && value > 0) return value;
  }
  return Fail(Errc::kUnusable, "bad_config",
              std::string("config.json: RoPE's '") + name + "' is not a positive number");
}

// The object that says how RoPE is scaled; null where nothing does.
Result<const Json*> Scaling(const Json& config) {
  for (const char* name : {"rope_parameters", "rope_scaling"}) {
    const auto at = config.find(name);
    if (at == config.end() || at->is_null()) continue;
    if (at->is_object()) return &*at;
    return Fail(Errc::kUnusable, "bad_config",
                std::string("config.json: '") + name + "' is not an object");
  }
  return nullptr;
}

// RoPE over a part of each head is another model.
Result<void> CheckWholeHeads(const Json& object) {
  const auto at = object.find("partial_rotary_factor");
  if (at == object.end() || at->is_null() || *at == 1) return {};
  return Fail(Errc::kUnusable, "unknown_architecture",
              "config.json: RoPE turns a part of each head (partial_rotary_factor)");
}

std::string Kind(const Json& scaling) {
  for (const char* name : {"rope_type", "type"}) {
    const auto at = scaling.find(name);
    if (at != scaling.end() && at->is_string()) return at->get<std::string>();
  }
  return "default";
}

Result<void> ScaleLlama3(const Json& scaling, int64_t max_positions, std::vector<double>& periods) {
  SIGNUM_ASSIGN(const double factor, Positive(scaling, "factor", std::nullopt));
  SIGNUM_ASSIGN(const double low, Positive(scaling, "low_freq_factor", std::nullopt));
  SIGNUM_ASSIGN(const double high, Positive(scaling, "high_freq_factor", std::nullopt));
  SIGNUM_ASSIGN(const double original, Positive(scaling, "original_max_position_embeddings",
                                                static_cast<double>(max_positions)));
  if (high <= low) {
    return Fail(Errc::kUnusable, "bad_config",
                "config.json: RoPE's high_freq_factor is not above low_freq_factor");
  }
  for (double& period : periods) {
    const double wavelength = 2 * std::numbers::pi / period;
    const double smooth = (original / wavelength - low) / (high - low);
    const double kept = std::min(std::max(smooth, 0.0), 1.0);
    period = (1 - kept) * period / factor + kept * period;
  }
  return {};
}

}  // namespace

Result<std::vector<double>> RopeInversePeriods(const Json& config, int64_t head_dim,
                                               int64_t max_positions) {
  SIGNUM_ASSIGN(const Json* scaling, Scaling(config));
  SIGNUM_TRY(CheckWholeHeads(config));
  if (scaling != nullptr) SIGNUM_TRY(CheckWholeHeads(*scaling));
  const bool own = scaling != nullptr && scaling->contains("rope_theta");
  SIGNUM_ASSIGN(const double theta, Positive(own ? *scaling : config, "rope_theta", 10000.0));
  std::vector<double> periods(static_cast<size_t>(head_dim / 2));
  for (size_t i = 0; i < periods.size(); ++i) {
    periods[i] = std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
  }
  const std::string kind = scaling == nullptr ? "default" : Kind(*scaling);
  if (kind == "default") return periods;
  if (kind == "linear") {
    SIGNUM_ASSIGN(const double factor, Positive(*scaling, "factor", std::nullopt));
    for (double& period : periods) period /= factor;
    return periods;
  }
  if (kind == "llama3") {
    SIGNUM_TRY(ScaleLlama3(*scaling, max_positions, periods));
    return periods;
  }
  return Fail(
      Errc::kUnusable, "unknown_architecture",
      "config.json: RoPE scaling '" + Printable(kind) + "' is not default, linear or llama3");
}

}  // namespace signum
