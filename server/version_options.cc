#include "server/version_options.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "gpu/budget.h"
#include "gpu/distill/calibration.h"
#include "storage/format/canonical_json.h"

namespace signum {
namespace {

Error Unsupported(std::string_view field, std::string_view value, std::string_view possible) {
  return Fail(Errc::kUnusable, "unsupported_" + std::string(field),
              "field '" + std::string(field) + "': '" + std::string(value) +
                  "' is not supported; possible: " + std::string(possible));
}

Result<Codec> ReadCodec(Fields& body) {
  SIGNUM_ASSIGN(const auto name, body.OptionalString("codec"));
  if (!name) return Codec::kSign1;
  const auto codec = CodecFromName(*name);
  if (codec != Codec::kSign1 && codec != Codec::kLowrank && codec != Codec::kRaw) {
    return Unsupported("codec", *name,
                       "sign1 (sign1-sparse and lowrank are chosen by themselves), lowrank, raw");
  }
  return *codec;
}

Result<ScaleKind> ReadScales(Fields& body) {
  SIGNUM_ASSIGN(const auto name, body.OptionalString("scales"));
  if (!name) return ScaleKind::kRowCol;
  const auto kind = ScaleKindFromName(*name);
  if (!kind) return Unsupported("scales", *name, "tensor, row, row+col");
  return *kind;
}

Result<int> ReadPlanes(Fields& body) {
  if (body.Find("planes") == nullptr) return 1;
  SIGNUM_ASSIGN(const uint64_t planes, body.Number("planes"));
  if (planes < 1 || planes > kMaxPlanes) {
    return Unsupported("planes", std::to_string(planes), "1 to " + std::to_string(kMaxPlanes));
  }
  return static_cast<int>(planes);
}

// A number of bytes, or a string as "12x". Codec and planes are what it chooses.
Result<std::string> ReadBudgetField(Fields& body, const VersionOptions& options) {
  const nlohmann::json* value = body.Find("budget");
  if (value == nullptr) return std::string();
  std::string text = value->is_string() ? value->get<std::string>() : value->dump();
  CompressOptions read;
  if (!ReadBudget(text, read)) {
    return Unsupported("budget", text, "a number of bytes, or a ratio of at least 1, as \"12x\"");
  }
  if (options.codec == Codec::kSign1 && options.planes == 1) return text;
  return Unsupported("budget", text, "only without codec and planes, which it chooses");
}

Result<bool> ReadExactEmbeddings(Fields& body) {
  SIGNUM_ASSIGN(const auto name, body.OptionalString("embeddings"));
  if (!name || *name == "onebit") return false;
  if (*name != "exact") return Unsupported("embeddings", *name, "onebit, exact");
  return true;
}

Result<Method> ReadMethod(Fields& body) {
  SIGNUM_ASSIGN(const auto name, body.OptionalString("method"));
  if (!name) return Method::kDistill;
  const auto method = MethodFromName(*name);
  if (!method) return Unsupported("method", *name, "distill, layerwise, none");
  return *method;
}

constexpr uint64_t kMaxSteps = 1'000'000;
constexpr uint64_t kMaxRows = 100'000;

// "self", {"text": …} or {"tokens": …}: ids, one row a line, or an array of rows.
Result<void> ReadCalibration(Fields& distill, VersionOptions& options) {
  const nlohmann::json* value = distill.Find("calibration");
  if (value == nullptr || *value == "self") return {};
  if (!value->is_object()) {
    return Unsupported("calibration", value->dump().substr(0, 40),
                       R"("self", {"text": "…"}, {"tokens": "1 2 3\n4 5 6"})");
  }
  SIGNUM_ASSIGN(Fields given, Fields::Of(*value, "distill.calibration."));
  SIGNUM_ASSIGN(const auto text, given.OptionalString("text"));
  SIGNUM_ASSIGN(const auto tokens, given.OptionalString("tokens"));
  SIGNUM_TRY(given.Done());
  if (text.has_value() == tokens.has_value()) {
    return distill.Bad("calibration", "an object with either text or tokens");
  }
  options.calibration_text = text.value_or("");
  options.calibration_tokens = tokens.value_or("");
  if (text && text->empty()) return distill.Bad("calibration", "text that is not empty");
  if (!tokens) return {};
  const auto rows = ParseTokenRows(*tokens);
  return rows.has_error() ? Result<void>(rows.error()) : Result<void>();
}

Result<void> ReadDistill(Fields& body, VersionOptions& options) {
  const nlohmann::json* value = body.Find("distill");
  if (value == nullptr) return {};
  if (!value->is_object()) return body.Bad("distill", "an object");
  SIGNUM_ASSIGN(Fields distill, Fields::Of(*value, "distill."));
  if (distill.Find("steps") != nullptr) {
    SIGNUM_ASSIGN(const uint64_t steps, distill.Number("steps"));
    if (steps < 1 || steps > kMaxSteps) return distill.Bad("steps", "a number from 1 to 1000000");
    options.train.steps = static_cast<int64_t>(steps);
  }
  if (distill.Find("rows") != nullptr) {
    SIGNUM_ASSIGN(const uint64_t rows, distill.Number("rows"));
    if (rows < 1 || rows > kMaxRows) return distill.Bad("rows", "a number from 1 to 100000");
    options.calibration_rows = static_cast<int64_t>(rows);
  }
  if (distill.Find("seed") != nullptr) {
    SIGNUM_ASSIGN(options.train.seed, distill.Number("seed"));
  }
  SIGNUM_ASSIGN(const auto loss, distill.OptionalString("loss"));
  if (loss) {
    const auto known = LossFromName(*loss);
    if (!known) return Unsupported("loss", *loss, "mse, kl");
    options.train.loss = *known;
  }
  SIGNUM_TRY(ReadCalibration(distill, options));
  return distill.Done();
}

Result<std::optional<double>> ReadLimit(Fields& gate, const char* name, double most) {
  const nlohmann::json* value = gate.Find(name);
  if (value == nullptr) return std::optional<double>();
  const double limit = value->is_number() ? value->get<double>() : -1;
  if (limit >= 0 && limit <= most) return std::optional(limit);
  return gate.Bad(name,
                  "a number that is not negative" + std::string(most == 1 ? ", at most 1" : ""));
}

Result<void> ReadGate(Fields& body, Gate& out) {
  const nlohmann::json* value = body.Find("gate");
  if (value == nullptr) return {};
  if (!value->is_object()) return body.Bad("gate", "an object");
  SIGNUM_ASSIGN(Fields gate, Fields::Of(*value, "gate."));
  SIGNUM_ASSIGN(out.max_kl, ReadLimit(gate, "max_kl", std::numeric_limits<double>::max()));
  SIGNUM_ASSIGN(out.min_top1, ReadLimit(gate, "min_top1", 1));
  return gate.Done();
}

nlohmann::json DistillJson(const VersionOptions& options) {
  nlohmann::json out = {{"steps", options.train.steps},
                        {"rows", options.calibration_rows},
                        {"seed", options.train.seed},
                        {"loss", LossName(options.train.loss)},
                        {"calibration", "self"}};
  if (!options.calibration_text.empty()) {
    out["calibration"] = {{"text", options.calibration_text}};
  }
  if (!options.calibration_tokens.empty()) {
    out["calibration"] = {{"tokens", options.calibration_tokens}};
  }
  return out;
}

nlohmann::json GateJson(const Gate& gate) {
  nlohmann::json out = nlohmann::json::object();
  if (gate.max_kl) out["max_kl"] = *gate.max_kl;
  if (gate.min_top1) out["min_top1"] = *gate.min_top1;
  return out;
}

void LoadDistill(const nlohmann::json& stored, VersionOptions& options) {
  const nlohmann::json distill = stored.value("distill", nlohmann::json::object());
  options.train.steps = distill.value("steps", options.train.steps);
  options.train.seed = distill.value("seed", options.train.seed);
  options.calibration_rows = distill.value("rows", options.calibration_rows);
  options.train.loss = LossFromName(distill.value("loss", "mse")).value_or(ops::Loss::kMse);
  const auto calibration = distill.find("calibration");
  if (calibration != distill.end() && calibration->is_object()) {
    options.calibration_text = calibration->value("text", "");
    options.calibration_tokens = calibration->value("tokens", "");
  }
  const nlohmann::json gate = stored.value("gate", nlohmann::json::object());
  if (gate.contains("max_kl")) options.gate.max_kl = gate["max_kl"].get<double>();
  if (gate.contains("min_top1")) options.gate.min_top1 = gate["min_top1"].get<double>();
}

}  // namespace

Result<VersionOptions> VersionOptions::Read(Fields& body) {
  VersionOptions options;
  SIGNUM_ASSIGN(options.codec, ReadCodec(body));
  SIGNUM_ASSIGN(options.scales, ReadScales(body));
  SIGNUM_ASSIGN(options.planes, ReadPlanes(body));
  SIGNUM_ASSIGN(options.budget, ReadBudgetField(body, options));
  SIGNUM_ASSIGN(options.exact_embeddings, ReadExactEmbeddings(body));
  SIGNUM_ASSIGN(options.method, ReadMethod(body));
  SIGNUM_TRY(ReadDistill(body, options));
  SIGNUM_TRY(ReadGate(body, options.gate));
  SIGNUM_ASSIGN(options.keep_exact, body.Bool("keep_exact", true));
  SIGNUM_ASSIGN(options.allow_not_finite, body.Bool("allow_not_finite", false));
  return options;
}

Result<VersionOptions> VersionOptions::FromJson(std::string_view json) {
  SIGNUM_ASSIGN(const nlohmann::json stored, ParseJson(json));
  VersionOptions options;
  const auto codec = CodecFromName(stored.value("codec", ""));
  const auto scales = ScaleKindFromName(stored.value("scales", ""));
  if (!codec || !scales) {
    return Fail(Errc::kCorrupt, "bad_record", "a version's stored options cannot be read");
  }
  options.codec = *codec;
  options.scales = *scales;
  options.planes = stored.value("planes", 1);
  options.budget = stored.value("budget", "");
  options.exact_embeddings = stored.value("embeddings", "") == "exact";
  options.method = MethodFromName(stored.value("method", "none")).value_or(Method::kNone);
  LoadDistill(stored, options);
  options.keep_exact = stored.value("keep_exact", true);
  options.allow_not_finite = stored.value("allow_not_finite", false);
  return options;
}

nlohmann::json VersionOptions::ToJson() const {
  nlohmann::json json = {{"codec", CodecName(codec)},
                         {"scales", ScaleKindName(scales)},
                         {"planes", planes},
                         {"embeddings", Embeddings()},
                         {"method", MethodName(method)},
                         {"keep_exact", keep_exact},
                         {"allow_not_finite", allow_not_finite}};
  if (!budget.empty()) json["budget"] = budget;
  if (method != Method::kNone) json["distill"] = DistillJson(*this);
  if (gate.asked()) json["gate"] = GateJson(gate);
  return json;
}

nlohmann::json VersionOptions::Shown(nlohmann::json stored) {
  stored.erase("allow_not_finite");
  const auto distill = stored.find("distill");
  if (distill == stored.end() || !distill->is_object()) return stored;
  const auto calibration = distill->find("calibration");
  if (calibration != distill->end() && calibration->is_object()) {
    *calibration = calibration->contains("text") ? "text" : "tokens";
  }
  return stored;
}

MakeDeltaOptions VersionOptions::ForDelta() const {
  MakeDeltaOptions options;
  CompressOptions& compress = options.compress;
  compress.codec = codec;
  compress.scales = scales;
  compress.planes = planes;
  if (!budget.empty()) (void)ReadBudget(budget, compress);  // checked when it was asked for
  compress.exact_embeddings = exact_embeddings;
  compress.allow_not_finite = allow_not_finite;
  options.distill.method = method;
  options.distill.train = train;
  options.distill.calibration_rows = calibration_rows;
  options.gate = gate;
  return options;
}

}  // namespace signum
