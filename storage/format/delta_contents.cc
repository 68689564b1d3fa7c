#include <bit>

#include "storage/base/name.h"
#include "storage/format/delta_parts.h"

namespace signum {

namespace {

constexpr size_t kReadBytes = 256 * 1024;

// Calls `visit` with the whole of `source`, piece by piece.
template <class Visit>
Result<void> ForEachPiece(const ByteSource& source, Visit visit) {
  std::vector<std::byte> buffer(std::min<uint64_t>(kReadBytes, source.size()));
  for (uint64_t at = 0; at < source.size(); at += buffer.size()) {
    const size_t take = std::min<uint64_t>(buffer.size(), source.size() - at);
    SIGNUM_TRY(source.Read(at, MutableBytes(buffer).first(take)));
    visit(ConstBytes(buffer).first(take));
  }
  return {};
}

Result<uint64_t> CountBits(const ByteSource& source) {
  uint64_t count = 0;
  SIGNUM_TRY(ForEachPiece(source, [&](ConstBytes piece) {
    for (std::byte b : piece) {
      count += static_cast<unsigned>(std::popcount(std::to_integer<uint8_t>(b)));
    }
  }));
  return count;
}

Error BadPart(const SafetensorsEntry& part, const std::string& why) {
  return Fail(Errc::kCorrupt, "bad_part", "'" + Printable(part.info.name) + "' " + why);
}

// Checks that the bits past column `columns` are 0 in the last byte of every row.
Result<void> CheckPadding(const SafetensorsEntry& bits, const ByteSource& data, uint64_t columns) {
  const uint64_t row_bytes = bits.info.shape.back();
  if (columns % 8 == 0 || row_bytes == 0) return {};
  const auto spare = static_cast<uint8_t>(0xff << (columns % 8));
  uint64_t at = 0;
  bool clean = true;
  SIGNUM_TRY(ForEachPiece(data, [&](ConstBytes piece) {
    for (uint64_t i = row_bytes - 1 - at % row_bytes; i < piece.size(); i += row_bytes) {
      clean = clean && (std::to_integer<uint8_t>(piece[i]) & spare) == 0;
    }
    at += piece.size();
  }));
  if (clean) return {};
  return BadPart(bits, "has bits set past the last column");
}

// The number of columns, where the parts tell it exactly.
std::optional<uint64_t> Columns(const WeightParts& parts) {
  if (parts[Part::kColScale] != nullptr) return parts[Part::kColScale]->info.shape[0];
  if (parts[Part::kValues] != nullptr) return parts[Part::kValues]->info.shape[1];
  return std::nullopt;
}

// Every plane has the mask's number of signs.
Result<void> CheckSparse(const DeltaReader& reader, const WeightParts& parts) {
  const SafetensorsEntry& mask = *parts[Part::kMask];
  SIGNUM_ASSIGN(const uint64_t changed, CountBits(*reader.OpenPart(mask)));
  for (size_t plane = 0; plane < parts.planes.size(); ++plane) {
    const SafetensorsEntry& sign = *parts.At(Part::kSign, plane);
    if (sign.info.bytes() != (changed + 7) / 8) {
      return BadPart(sign,
                     "has not as many signs as its mask has bits, " + std::to_string(changed));
    }
    SIGNUM_TRY(CheckPadding(sign, *reader.OpenPart(sign), changed));
  }
  const std::optional<uint64_t> columns = Columns(parts);
  return columns ? CheckPadding(mask, *reader.OpenPart(mask), *columns) : Result<void>();
}

Result<void> CheckFactors(const DeltaReader& reader, const WeightParts& parts) {
  for (size_t plane = 0; plane < parts.planes.size(); ++plane) {
    for (Part part : {Part::kScale, Part::kRowScale, Part::kColScale, Part::kLoraA, Part::kLoraB}) {
      const SafetensorsEntry* entry = parts.At(part, plane);
      if (entry == nullptr) continue;
      const auto finite = CheckFinite(entry->info, *reader.OpenPart(*entry), "delta");
      if (!finite) return BadPart(*entry, "has a NaN or infinity");
    }
  }
  return {};
}

Result<void> CheckWeight(const DeltaReader& reader, const WeightParts& parts) {
  SIGNUM_TRY(CheckFactors(reader, parts));
  if (parts[Part::kMask] != nullptr) return CheckSparse(reader, parts);
  const std::optional<uint64_t> columns = Columns(parts);
  for (size_t plane = 0; columns && plane < parts.planes.size(); ++plane) {
    const SafetensorsEntry* sign = parts.At(Part::kSign, plane);
    if (sign != nullptr) SIGNUM_TRY(CheckPadding(*sign, *reader.OpenPart(*sign), *columns));
  }
  return {};
}

Result<void> CheckBlob(const DeltaReader& reader, const SafetensorsEntry& entry) {
  Sha256 hash;
  SIGNUM_TRY(ForEachPiece(*reader.OpenPart(entry), [&](ConstBytes piece) { hash.Update(piece); }));
  if (hash.Finish().Hex() == entry.info.name.substr(kBlobPrefix.size())) return {};
  return BadPart(entry, "does not have the digest in its name");
}

}  // namespace

Result<void> DeltaReader::CheckContents() const {
  SIGNUM_ASSIGN(const PartTable table, GroupParts(parts(), NotImplied(header_.codecs)));
  for (const auto& [name, weight] : table) SIGNUM_TRY(CheckWeight(*this, weight));
  for (const SafetensorsEntry& entry : parts()) {
    if (entry.info.name.starts_with(kBlobPrefix)) SIGNUM_TRY(CheckBlob(*this, entry));
  }
  return {};
}

}  // namespace signum
