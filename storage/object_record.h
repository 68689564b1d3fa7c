#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "storage/base/clock.h"
#include "storage/base/digest.h"

// The record of an object: key o/<2 hex digits>/<64 hex digits>, value
//   u8 version (1) · u8 kind · u64 size · i64 created, and then by kind
//   inline          the bytes
//   blob            u64 blob id
//   encoded inline  the base's digest (32 bytes, of 0 where there is none) · the encoded object
//   encoded blob    the base's digest · u64 bytes of the encoded object · u64 blob id
//   damaged         u64 bytes that the blob has · u64 blob id (both 0 where there is none) · why
// little-endian. `size` is that of the raw bytes, whose digest the key names. Values of `kind` are
// persisted: never renumber.
//
// Beside it, o/<2 hex digits>/~<64 hex digits> says since when (StoreClock, decimal) collection has
// known that nothing names the object.

namespace signum {

inline constexpr std::string_view kObjectPrefix = "o/";

struct ObjectRecord {
  // kDamaged: its bytes are known not to have its digest (any more). It is as good as not there,
  // but what names it can be told; storing the same bytes again replaces it.
  enum class Kind : uint8_t {
    kInline = 0,
    kBlob = 1,
    kEncodedInline = 2,
    kEncodedBlob = 3,
    kDamaged = 16
  };
  Kind kind = Kind::kInline;
  uint64_t size = 0;
  UnixMicros created = 0;
  std::string_view bytes;      // inline kinds; points into what was decoded
  uint64_t blob = 0;           // blob kinds; kDamaged: the blob that holds what is left, or 0
  uint64_t blob_bytes = 0;     // kEncodedBlob, kDamaged
  std::optional<Digest> base;  // encoded kinds: what it is a difference from
  std::string_view why;        // kDamaged; points into what was decoded

  bool damaged() const { return kind == Kind::kDamaged; }
  bool in_blob() const { return blob != 0; }
  bool encoded() const { return kind == Kind::kEncodedInline || kind == Kind::kEncodedBlob; }
  // What the bytes take, whichever way they are kept.
  uint64_t stored_bytes() const {
    if (!in_blob()) return bytes.size();
    return kind == Kind::kBlob ? size : blob_bytes;
  }

  std::string Encode() const;
  // Errc::kCorrupt "bad_record".
  static Result<ObjectRecord> Decode(std::string_view value, std::string_view key);
};

std::string ObjectKey(const Digest& digest);
std::string CondemnedKey(const Digest& digest);
Result<Digest> DigestOfObjectKey(std::string_view key);

Error UnknownObject(const Digest& digest);                        // kNotFound "unknown_object"
Error ObjectDamaged(const Digest& digest, std::string_view why);  // kCorrupt "object_damaged"
Error BaseMissing(const Digest& base, const Digest& of);          // as damaged
// Errc::kCorrupt "digest_mismatch" unless bytes have the digest that was expected, if one was.
Result<void> CheckDigest(const std::optional<Digest>& expected, const Digest& actual);

}  // namespace signum
