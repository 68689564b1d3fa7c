#include "storage/format/delta_metadata.h"

#include "storage/base/name.h"

namespace signum {

namespace {

constexpr std::string_view kFormat = "signum.delta";
constexpr std::string_view kVersion = "1";
constexpr std::string_view kLayout = "row-lsb";
constexpr std::string_view kCodecPrefix = "codec.";

using Metadata = std::map<std::string, std::string>;

std::string_view Get(const Metadata& metadata, const char* name) {
  const auto at = metadata.find(name);
  return at == metadata.end() ? std::string_view() : std::string_view(at->second);
}

Result<void> CheckKind(const Metadata& metadata) {
  if (Get(metadata, "format") != kFormat) {
    return Fail(Errc::kUnusable, "not_a_delta", "__metadata__ format is not 'signum.delta'");
  }
  if (Get(metadata, "version") != kVersion) {
    return Fail(Errc::kUnusable, "unsupported_version",
                "delta file version '" + Printable(Get(metadata, "version")) + "' is not 1");
  }
  if (Get(metadata, "layout") != kLayout) {
    return Fail(Errc::kUnusable, "unsupported_layout",
                "layout '" + Printable(Get(metadata, "layout")) + "' is not 'row-lsb'");
  }
  return {};
}

Result<StatedCodecs> ReadCodecs(const Metadata& metadata) {
  StatedCodecs stated;
  for (auto at = metadata.lower_bound(std::string(kCodecPrefix));
       at != metadata.end() && at->first.starts_with(kCodecPrefix); ++at) {
    const std::optional<Codec> codec = CodecFromName(at->second);
    if (!codec) {
      return Fail(Errc::kCorrupt, "bad_codec",
                  "__metadata__ " + Printable(at->first) + " is '" + Printable(at->second) +
                      "', no known codec");
    }
    stated.emplace(at->first.substr(kCodecPrefix.size()), *codec);
  }
  return stated;
}

}  // namespace

Metadata DeltaMetadata(const DeltaHeader& header) {
  Metadata out{{"format", std::string(kFormat)}, {"version", std::string(kVersion)},
               {"layout", std::string(kLayout)}, {"base", header.base.Text()},
               {"codec", header.codec},          {"scales", header.scales}};
  for (const auto& [name, codec] : NotImplied(header.codecs)) {
    out.emplace(std::string(kCodecPrefix) + name, CodecName(codec));
  }
  return out;
}

Result<DeltaHeader> ParseDeltaMetadata(const Metadata& metadata) {
  SIGNUM_TRY(CheckKind(metadata));
  DeltaHeader header;
  header.codec = Get(metadata, "codec");
  header.scales = Get(metadata, "scales");
  if (!CodecFromName(header.codec)) {
    return Fail(Errc::kCorrupt, "bad_codec",
                "__metadata__ codec '" + Printable(header.codec) + "' is not known");
  }
  if (!ScaleKindFromName(header.scales)) {
    return Fail(Errc::kCorrupt, "bad_metadata",
                "__metadata__ scales '" + Printable(header.scales) + "' is not known");
  }
  const Result<Digest> base = Digest::FromText(Get(metadata, "base"));
  if (!base) {
    return Fail(Errc::kCorrupt, "bad_metadata", "__metadata__ base: " + base.error().message);
  }
  header.base = *base;
  SIGNUM_ASSIGN(header.codecs, ReadCodecs(metadata));
  return header;
}

}  // namespace signum
