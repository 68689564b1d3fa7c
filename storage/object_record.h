#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "storage/base/clock.h"
#include "storage/base/digest.h"

// The record of an object: key o/<2 hex digits>/<64 hex digits>, value
//   u8 version (1) · u8 kind · u64 size · i64 created · inline: the bytes; blob: u64 blob id
// little-endian. Values of `kind` are persisted: never renumber.

namespace signum {

inline constexpr std::string_view kObjectPrefix = "o/";

struct ObjectRecord {
  enum class Kind : uint8_t { kInline = 0, kBlob = 1 };
  Kind kind = Kind::kInline;
  uint64_t size = 0;
  UnixMicros created = 0;
  std::string_view bytes;  // kInline; points into what was decoded
  uint64_t blob = 0;       // kBlob

  std::string Encode() const;
  // Errc::kCorrupt "bad_record".
  static Result<ObjectRecord> Decode(std::string_view value, std::string_view key);
};

std::string ObjectKey(const Digest& digest);
Result<Digest> DigestOfObjectKey(std::string_view key);

}  // namespace signum
