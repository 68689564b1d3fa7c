#include "storage/format/delta_parts.h"

#include <algorithm>

#include "storage/base/name.h"

namespace signum {

namespace {

struct Suffix {
  std::string_view text;
  Part part;
};
// No suffix ends with another, so at most one fits.
constexpr std::array<Suffix, 7> kSuffixes{{{".sign", Part::kSign},
                                           {".mask", Part::kMask},
                                           {".rows", Part::kRows},
                                           {".values", Part::kValues},
                                           {".scale", Part::kScale},
                                           {".scale.row", Part::kRowScale},
                                           {".scale.col", Part::kColScale}}};

// ".sign.1", ".scale.row.2" …: further planes, which version 1 reserves and does not have.
bool IsPlane(std::string_view name) {
  const size_t dot = name.find_last_not_of("0123456789");
  if (dot == std::string_view::npos || dot + 1 == name.size() || name[dot] != '.') return false;
  const Part part = SplitPartName(name.substr(0, dot)).part;
  return part == Part::kSign || part == Part::kScale || part == Part::kRowScale ||
         part == Part::kColScale;
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
        break;
    }
    return Refuse("bad_codec", "is not read by this version");
  }

 private:
  Error Refuse(std::string_view reason, const std::string& why) const {
    return Fail(
        Errc::kCorrupt, reason,
        "weight '" + Printable(name_) + "' (" + std::string(CodecName(codec_)) + ") " + why);
  }

  Result<void> Only(std::initializer_list<Part> allowed) const {
    for (const SafetensorsEntry* entry : parts_.at) {
      const auto is_entry = [&](Part part) { return parts_[part] == entry; };
      if (entry != nullptr && std::none_of(allowed.begin(), allowed.end(), is_entry)) {
        return Refuse("bad_part", "has the part '" + Printable(entry->info.name) +
                                      "', which its codec has no use for");
      }
    }
    return {};
  }

  Result<void> Need(Part part) const {
    if (parts_[part] != nullptr) return {};
    const auto* suffix = std::find_if(kSuffixes.begin(), kSuffixes.end(),
                                      [&](const Suffix& s) { return s.part == part; });
    return Refuse("missing_part",
                  "lacks its part " + (suffix == kSuffixes.end() ? std::string("itself")
                                                                 : std::string(suffix->text)));
  }

  // Checks that a part is there, of this dtype and rank.
  Result<void> Typed(Part part, Dtype dtype, size_t rank) const {
    SIGNUM_TRY(Need(part));
    const TensorInfo& info = parts_[part]->info;
    if (info.dtype == dtype && info.shape.size() == rank) return {};
    return Refuse("bad_part", "has '" + Printable(info.name) + "' as " + info.Describe() +
                                  ", not as " + std::string(DtypeName(dtype)) + " of rank " +
                                  std::to_string(rank));
  }

  Result<void> Fits(Part part, bool fits) const {
    if (fits) return {};
    const TensorInfo& info = parts_[part]->info;
    return Refuse("bad_part", "has '" + Printable(info.name) + "' as " + info.Describe() +
                                  ", which does not fit its other parts");
  }

  uint64_t Dim(Part part, size_t axis) const { return parts_[part]->info.shape[axis]; }

  // Scales of an [n, k] weight whose rows of bits take `row_bytes` each.
  Result<void> Scales(uint64_t n, uint64_t row_bytes) const {
    if (parts_[Part::kScale] != nullptr) {
      SIGNUM_TRY(Typed(Part::kScale, Dtype::kF32, 1));
      return Fits(Part::kScale, Dim(Part::kScale, 0) == 1 && parts_[Part::kRowScale] == nullptr &&
                                    parts_[Part::kColScale] == nullptr);
    }
    SIGNUM_TRY(Typed(Part::kRowScale, Dtype::kF32, 1));
    SIGNUM_TRY(Fits(Part::kRowScale, Dim(Part::kRowScale, 0) == n));
    if (parts_[Part::kColScale] == nullptr) return {};
    SIGNUM_TRY(Typed(Part::kColScale, Dtype::kF32, 1));
    return Fits(Part::kColScale, (Dim(Part::kColScale, 0) + 7) / 8 == row_bytes);
  }

  Result<void> Sign1() const {
    SIGNUM_TRY(Only({Part::kSign, Part::kScale, Part::kRowScale, Part::kColScale}));
    SIGNUM_TRY(Typed(Part::kSign, Dtype::kU8, 2));
    return Scales(Dim(Part::kSign, 0), Dim(Part::kSign, 1));
  }

  Result<void> Sparse() const {
    SIGNUM_TRY(Only({Part::kMask, Part::kSign, Part::kScale, Part::kRowScale, Part::kColScale}));
    SIGNUM_TRY(Typed(Part::kMask, Dtype::kU8, 2));
    SIGNUM_TRY(Typed(Part::kSign, Dtype::kU8, 1));
    SIGNUM_TRY(Fits(Part::kSign, Dim(Part::kSign, 0) <= parts_[Part::kMask]->info.bytes()));
    return Scales(Dim(Part::kMask, 0), Dim(Part::kMask, 1));
  }

  // The first rows listed have signs, the rest (what the base lacks, or all by option) values.
  Result<void> Rows() const {
    SIGNUM_TRY(Only({Part::kRows, Part::kSign, Part::kRowScale, Part::kValues}));
    SIGNUM_TRY(Typed(Part::kRows, Dtype::kI32, 1));
    uint64_t rows = 0;
    if (parts_[Part::kSign] != nullptr || parts_[Part::kRowScale] != nullptr) {
      SIGNUM_TRY(Typed(Part::kSign, Dtype::kU8, 2));
      rows = Dim(Part::kSign, 0);
      SIGNUM_TRY(Scales(rows, Dim(Part::kSign, 1)));
    }
    if (const SafetensorsEntry* values = parts_[Part::kValues]; values != nullptr) {
      SIGNUM_TRY(Typed(Part::kValues, values->info.dtype, 2));
      SIGNUM_TRY(Fits(Part::kValues, parts_[Part::kSign] == nullptr ||
                                         (Dim(Part::kValues, 1) + 7) / 8 == Dim(Part::kSign, 1)));
      rows += Dim(Part::kValues, 0);
    }
    return Fits(Part::kRows, rows > 0 && rows == Dim(Part::kRows, 0));
  }

  const std::string& name_;
  Codec codec_;
  const WeightParts& parts_;
};

Codec ImpliedCodec(const WeightParts& parts) {
  if (parts[Part::kWhole] != nullptr) return Codec::kRaw;
  if (parts[Part::kMask] != nullptr) return Codec::kSign1Sparse;
  if (parts[Part::kRows] != nullptr) return Codec::kRows;
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
  for (const Suffix& suffix : kSuffixes) {
    if (name.size() > suffix.text.size() && name.ends_with(suffix.text)) {
      return {suffix.part, name.substr(0, name.size() - suffix.text.size())};
    }
  }
  if (IsPlane(name)) return {Part::kPlane, name};
  return {Part::kWhole, name};
}

StatedCodecs NotImplied(const std::map<std::string, Codec>& codecs) {
  StatedCodecs stated;
  for (const auto& [name, codec] : codecs) {
    const bool looks_like_a_part = codec == Codec::kRaw && SplitPartName(name).part != Part::kWhole;
    if (codec == Codec::kSame || codec == Codec::kLowrank || looks_like_a_part) {
      stated.emplace(name, codec);
    }
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
        stated.contains(name) ? PartName{Part::kWhole, name} : SplitPartName(name);
    if (split.part == Part::kPlane) {
      return Fail(Errc::kCorrupt, "bad_part",
                  "'" + Printable(name) + "' is a further plane, which version 1 does not have");
    }
    table[std::string(split.weight)][split.part] = &entry;
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
