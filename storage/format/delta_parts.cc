#include "storage/format/delta_parts.h"

#include <algorithm>
#include <optional>

#include "storage/base/name.h"

namespace signum {

namespace {

struct Suffix {
  std::string_view text;
  Part part;
};
// No suffix ends with another, so at most one fits.
constexpr std::array<Suffix, 9> kSuffixes{{{".sign", Part::kSign},
                                           {".mask", Part::kMask},
                                           {".rows", Part::kRows},
                                           {".values", Part::kValues},
                                           {".scale", Part::kScale},
                                           {".scale.row", Part::kRowScale},
                                           {".scale.col", Part::kColScale},
                                           {".lora_a", Part::kLoraA},
                                           {".lora_b", Part::kLoraB}}};

constexpr std::array<Part, 4> kPlaneParts{Part::kSign, Part::kScale, Part::kRowScale,
                                          Part::kColScale};

std::string_view SuffixOf(Part part) {
  const auto* at = std::find_if(kSuffixes.begin(), kSuffixes.end(),
                                [&](const Suffix& s) { return s.part == part; });
  return at == kSuffixes.end() ? std::string_view() : at->text;
}

PartName SplitSuffix(std::string_view name) {
  for (const Suffix& suffix : kSuffixes) {
    if (name.size() > suffix.text.size() && name.ends_with(suffix.text)) {
      return {suffix.part, name.substr(0, name.size() - suffix.text.size()), 0};
    }
  }
  return {Part::kWhole, name, 0};
}

// ".sign.1", ".scale.row.2" …: a part of a further plane. Nothing where `name` is not like one.
std::optional<PartName> SplitPlane(std::string_view name) {
  const size_t dot = name.find_last_not_of("0123456789");
  if (dot == std::string_view::npos || dot + 1 == name.size() || name[dot] != '.') return {};
  PartName split = SplitSuffix(name.substr(0, dot));
  if (std::find(kPlaneParts.begin(), kPlaneParts.end(), split.part) == kPlaneParts.end()) return {};
  const std::string_view number = name.substr(dot + 1);
  const bool known = number.size() == 1 && number[0] >= '1' && number[0] < '0' + kMaxPlanes;
  if (!known) return PartName{Part::kUnknownPlane, name, 0};
  split.plane = static_cast<size_t>(number[0] - '0');
  return split;
}

// One weight with its codec, while it is checked.
class WeightCheck {
 public:
  WeightCheck(const std::string& name, Codec codec, const WeightParts& parts)
      : name_(name), codec_(codec), parts_(parts) {}

  Result<void> Run() const {
    switch (codec_) {
      case Codec::kSame:
        return Only({});
      case Codec::kRaw:
        SIGNUM_TRY(Only({Part::kWhole}));
        return Need(Part::kWhole);
      case Codec::kSign1:
        return Sign1();
      case Codec::kSign1Sparse:
        return Sparse();
      case Codec::kRows:
        return Rows();
      case Codec::kLowrank:
        return Lowrank();
    }
    return Refuse("bad_codec", "is not known");
  }

 private:
  Error Refuse(std::string_view reason, const std::string& why) const {
    return Fail(
        Errc::kCorrupt, reason,
        "weight '" + Printable(name_) + "' (" + std::string(CodecName(codec_)) + ") " + why);
  }

  // No parts but `allowed`; further planes only where there are signs.
  Result<void> Only(std::initializer_list<Part> allowed) const {
    const auto is_allowed = [&](Part part) {
      return std::find(allowed.begin(), allowed.end(), part) != allowed.end();
    };
    for (size_t plane = 0; plane < parts_.planes.size(); ++plane) {
      for (size_t kind = 0; kind < kPartKinds; ++kind) {
        const auto part = static_cast<Part>(kind);
        const SafetensorsEntry* entry = parts_.At(part, plane);
        if (entry == nullptr) continue;
        if (is_allowed(part) && (plane == 0 || is_allowed(Part::kSign))) continue;
        return Refuse("bad_part", "has the part '" + Printable(entry->info.name) +
                                      "', which its codec has no use for");
      }
    }
    return {};
  }

  Result<void> Need(Part part, size_t plane = 0) const {
    if (parts_.At(part, plane) != nullptr) return {};
    const std::string_view suffix = SuffixOf(part);
    return Refuse("missing_part",
                  "lacks its part " +
                      (suffix.empty() ? std::string("itself") : std::string(suffix)) +
                      (plane == 0 ? "" : "." + std::to_string(plane)));
  }

  // Checks that a part is there, of this dtype and rank.
  Result<void> Typed(Part part, Dtype dtype, size_t rank, size_t plane = 0) const {
    SIGNUM_TRY(Need(part, plane));
    const TensorInfo& info = parts_.At(part, plane)->info;
    if (info.dtype == dtype && info.shape.size() == rank) return {};
    return Refuse("bad_part", "has '" + Printable(info.name) + "' as " + info.Describe() +
                                  ", not as " + std::string(DtypeName(dtype)) + " of rank " +
                                  std::to_string(rank));
  }

  Result<void> Fits(Part part, bool fits, size_t plane = 0) const {
    if (fits) return {};
    const TensorInfo& info = parts_.At(part, plane)->info;
    return Refuse("bad_part", "has '" + Printable(info.name) + "' as " + info.Describe() +
                                  ", which does not fit its other parts");
  }

  uint64_t Dim(Part part, size_t axis, size_t plane = 0) const {
    return parts_.At(part, plane)->info.shape[axis];
  }
  bool Has(Part part, size_t plane = 0) const { return parts_.At(part, plane) != nullptr; }

  // A plane's scales of an [n, k] weight whose rows of bits take `row_bytes` each.
  Result<void> Scales(size_t plane, uint64_t n, uint64_t row_bytes) const {
    if (Has(Part::kScale, plane)) {
      SIGNUM_TRY(Typed(Part::kScale, Dtype::kF32, 1, plane));
      return Fits(Part::kScale,
                  Dim(Part::kScale, 0, plane) == 1 && !Has(Part::kRowScale, plane) &&
                      !Has(Part::kColScale, plane),
                  plane);
    }
    SIGNUM_TRY(Typed(Part::kRowScale, Dtype::kF32, 1, plane));
    SIGNUM_TRY(Fits(Part::kRowScale, Dim(Part::kRowScale, 0, plane) == n, plane));
    if (!Has(Part::kColScale, plane)) return {};
    SIGNUM_TRY(Typed(Part::kColScale, Dtype::kF32, 1, plane));
    return Fits(Part::kColScale, (Dim(Part::kColScale, 0, plane) + 7) / 8 == row_bytes, plane);
  }

  // The planes after the first have just its kinds of signs and scales, of the same shapes.
  Result<void> FurtherPlanes() const {
    for (size_t plane = 1; plane < parts_.planes.size(); ++plane) {
      for (Part part : kPlaneParts) {
        if (Has(part)) {
          SIGNUM_TRY(Need(part, plane));
          const TensorInfo& first = parts_[part]->info;
          const TensorInfo& info = parts_.At(part, plane)->info;
          SIGNUM_TRY(Fits(part, info.dtype == first.dtype && info.shape == first.shape, plane));
        } else if (Has(part, plane)) {
          return Fits(part, false, plane);
        }
      }
    }
    return {};
  }

  Result<void> Sign1() const {
    SIGNUM_TRY(Only({Part::kSign, Part::kScale, Part::kRowScale, Part::kColScale}));
    SIGNUM_TRY(Typed(Part::kSign, Dtype::kU8, 2));
    SIGNUM_TRY(Scales(0, Dim(Part::kSign, 0), Dim(Part::kSign, 1)));
    return FurtherPlanes();
  }

  Result<void> Sparse() const {
    SIGNUM_TRY(Only({Part::kMask, Part::kSign, Part::kScale, Part::kRowScale, Part::kColScale}));
    SIGNUM_TRY(Typed(Part::kMask, Dtype::kU8, 2));
    SIGNUM_TRY(Typed(Part::kSign, Dtype::kU8, 1));
    SIGNUM_TRY(Fits(Part::kSign, Dim(Part::kSign, 0) <= parts_[Part::kMask]->info.bytes()));
    SIGNUM_TRY(Scales(0, Dim(Part::kMask, 0), Dim(Part::kMask, 1)));
    return FurtherPlanes();
  }

  // The first rows listed have signs, the rest (what the base lacks, or all by option) values.
  Result<void> Rows() const {
    SIGNUM_TRY(Only({Part::kRows, Part::kSign, Part::kRowScale, Part::kValues}));
    SIGNUM_TRY(Typed(Part::kRows, Dtype::kI32, 1));
    uint64_t rows = 0;
    if (Has(Part::kSign) || Has(Part::kRowScale)) {
      SIGNUM_TRY(Typed(Part::kSign, Dtype::kU8, 2));
      rows = Dim(Part::kSign, 0);
      SIGNUM_TRY(Scales(0, rows, Dim(Part::kSign, 1)));
    }
    SIGNUM_TRY(FurtherPlanes());
    if (const SafetensorsEntry* values = parts_[Part::kValues]; values != nullptr) {
      SIGNUM_TRY(Typed(Part::kValues, values->info.dtype, 2));
      SIGNUM_TRY(Fits(Part::kValues,
                      !Has(Part::kSign) || (Dim(Part::kValues, 1) + 7) / 8 == Dim(Part::kSign, 1)));
      rows += Dim(Part::kValues, 0);
    }
    return Fits(Part::kRows, rows > 0 && rows == Dim(Part::kRows, 0));
  }

  Result<void> Lowrank() const {
    SIGNUM_TRY(Only({Part::kLoraA, Part::kLoraB, Part::kScale}));
    for (Part part : {Part::kLoraA, Part::kLoraB}) {
      SIGNUM_TRY(Need(part));
      const Dtype dtype = parts_[part]->info.dtype;
      SIGNUM_TRY(Fits(part, IsFloat(dtype) && dtype != Dtype::kF64));
      SIGNUM_TRY(Typed(part, dtype, 2));
    }
    const uint64_t rank = Dim(Part::kLoraA, 0);
    SIGNUM_TRY(Fits(Part::kLoraB, rank > 0 && Dim(Part::kLoraB, 1) == rank));
    if (!Has(Part::kScale)) return {};
    SIGNUM_TRY(Typed(Part::kScale, Dtype::kF32, 1));
    return Fits(Part::kScale, Dim(Part::kScale, 0) == 1);
  }

  const std::string& name_;
  Codec codec_;
  const WeightParts& parts_;
};

Codec ImpliedCodec(const WeightParts& parts) {
  if (parts[Part::kWhole] != nullptr) return Codec::kRaw;
  if (parts[Part::kMask] != nullptr) return Codec::kSign1Sparse;
  if (parts[Part::kRows] != nullptr) return Codec::kRows;
  if (parts[Part::kLoraA] != nullptr || parts[Part::kLoraB] != nullptr) return Codec::kLowrank;
  return Codec::kSign1;
}

// signum.recipe or signum.blob.<64 hex>, bytes both.
Result<void> CheckReserved(const TensorInfo& info) {
  const std::string_view name = info.name;
  const bool known = name == kRecipeName ||
                     (name.starts_with(kBlobPrefix) && name.size() == kBlobPrefix.size() + 64 &&
                      Digest::FromText(name.substr(kBlobPrefix.size())).has_value());
  if (known && info.dtype == Dtype::kU8 && info.shape.size() == 1) return {};
  return Fail(Errc::kCorrupt, "bad_part",
              "'" + Printable(name) + "' of " + info.Describe() + " is no part of version 1");
}

}  // namespace

PartName SplitPartName(std::string_view name) {
  if (const auto plane = SplitPlane(name)) return *plane;
  return SplitSuffix(name);
}

void WeightParts::Set(const PartName& name, const SafetensorsEntry* entry) {
  if (name.plane >= planes.size()) planes.resize(name.plane + 1, Plane{});
  planes[name.plane][static_cast<size_t>(name.part)] = entry;
}

StatedCodecs NotImplied(const std::map<std::string, Codec>& codecs) {
  StatedCodecs stated;
  for (const auto& [name, codec] : codecs) {
    const bool looks_like_a_part = codec == Codec::kRaw && SplitPartName(name).part != Part::kWhole;
    if (codec == Codec::kSame || looks_like_a_part) stated.emplace(name, codec);
  }
  return stated;
}

Result<PartTable> GroupParts(const std::vector<SafetensorsEntry>& entries,
                             const StatedCodecs& stated) {
  PartTable table;
  for (const SafetensorsEntry& entry : entries) {
    const std::string& name = entry.info.name;
    if (name.starts_with(kReservedPrefix)) {
      SIGNUM_TRY(CheckReserved(entry.info));
      continue;
    }
    const PartName split =
        stated.contains(name) ? PartName{Part::kWhole, name, 0} : SplitPartName(name);
    if (split.part == Part::kUnknownPlane) {
      return Fail(Errc::kCorrupt, "bad_part",
                  "'" + Printable(name) + "' is of a plane that is not: they are numbered 1 to " +
                      std::to_string(kMaxPlanes - 1));
    }
    table[std::string(split.weight)].Set(split, &entry);
  }
  return table;
}

Result<std::map<std::string, Codec>> CheckParts(const PartTable& table,
                                                const StatedCodecs& stated) {
  std::map<std::string, Codec> codecs = stated;
  for (const auto& [name, parts] : table) codecs.emplace(name, ImpliedCodec(parts));
  static const WeightParts kNone;
  for (const auto& [name, codec] : codecs) {
    const auto parts = table.find(name);
    SIGNUM_TRY(WeightCheck(name, codec, parts == table.end() ? kNone : parts->second).Run());
  }
  return codecs;
}

}  // namespace signum
