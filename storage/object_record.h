#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "storage/base/clock.h"
#include "storage/base/digest.h"

// The record of an object: key o/<2 hex digits>/<64 hex digits>, value
//   u8 version (1) · u8 kind · u64 size · i64 created · inline: the bytes; blob: u64 blob id;
//   damaged: u64 blob id, or 0, and why
// little-endian. Values of `kind` are persisted: never renumber.
//
// Beside it, o/<2 hex digits>/~<64 hex digits> says since when (StoreClock, decimal) collection has
// known that nothing names the object.

namespace signum {

inline constexpr std::string_view kObjectPrefix = "o/";

struct ObjectRecord {
  // kDamaged: its bytes are known not to have its digest (any more). It is as good as not there,
  // but what names it can be told; storing the same bytes again replaces it.
  enum class Kind : uint8_t { kInline = 0, kBlob = 1, kDamaged = 16 };
  Kind kind = Kind::kInline;
  uint64_t size = 0;
  UnixMicros created = 0;
  std::string_view bytes;  // kInline; points into what was decoded
  uint64_t blob = 0;       // kBlob; kDamaged: the blob that holds what is left, or 0
  std::string_view why;    // kDamaged; points into what was decoded

  bool damaged() const { return kind == Kind::kDamaged; }
  std::string Encode() const;
  // Errc::kCorrupt "bad_record".
  static Result<ObjectRecord> Decode(std::string_view value, std::string_view key);
};

std::string ObjectKey(const Digest& digest);
std::string CondemnedKey(const Digest& digest);
Result<Digest> DigestOfObjectKey(std::string_view key);

}  // namespace signum
