#include "server/version_options.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "gpu/budget.h"
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

// Distillation is not built yet: what asks for it is refused rather than done another way.
Result<void> CheckMethod(Fields& body) {
  SIGNUM_ASSIGN(const auto method, body.OptionalString("method"));
  if (method && *method != "none") {
    return Unsupported("method", *method, "none (scales by least squares, without training)");
  }
  if (body.Find("distill") != nullptr) {
    return Fail(Errc::kUnusable, "unsupported_method",
                "field 'distill': this registry does not distil yet; leave it out");
  }
  if (body.Find("gate") != nullptr) {
    return Fail(Errc::kUnusable, "unsupported_gate",
                "field 'gate': this registry does not evaluate versions yet, so it cannot hold one "
                "back; leave it out");
  }
  return {};
}

}  // namespace

Result<VersionOptions> VersionOptions::Read(Fields& body) {
  VersionOptions options;
  SIGNUM_ASSIGN(options.codec, ReadCodec(body));
  SIGNUM_ASSIGN(options.scales, ReadScales(body));
  SIGNUM_ASSIGN(options.planes, ReadPlanes(body));
  SIGNUM_ASSIGN(options.budget, ReadBudgetField(body, options));
  SIGNUM_ASSIGN(options.exact_embeddings, ReadExactEmbeddings(body));
  SIGNUM_TRY(CheckMethod(body));
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
  options.method = stored.value("method", "none");
  options.keep_exact = stored.value("keep_exact", true);
  options.allow_not_finite = stored.value("allow_not_finite", false);
  return options;
}

nlohmann::json VersionOptions::ToJson() const {
  nlohmann::json json = {{"codec", CodecName(codec)},
                         {"scales", ScaleKindName(scales)},
                         {"planes", planes},
                         {"embeddings", Embeddings()},
                         {"method", method},
                         {"keep_exact", keep_exact},
                         {"allow_not_finite", allow_not_finite}};
  if (!budget.empty()) json["budget"] = budget;
  return json;
}

CompressOptions VersionOptions::ForCompressor() const {
  CompressOptions options;
  options.codec = codec;
  options.scales = scales;
  options.planes = planes;
  if (!budget.empty()) (void)ReadBudget(budget, options);  // checked when it was asked for
  options.exact_embeddings = exact_embeddings;
  options.allow_not_finite = allow_not_finite;
  return options;
}

}  // namespace signum
