#include "storage/object_record.h"

#include <utility>

#include "storage/base/bytes.h"

namespace signum {

namespace {

constexpr uint8_t kVersion = 1;
constexpr size_t kHeadBytes = 18;

template <class T>
void AppendLe(std::string& to, T value) {
  const size_t at = to.size();
  to.resize(at + sizeof value);
  StoreLe(to.data() + at, value);
}

// Takes a number off the front; `rest` must be long enough.
template <class T>
T TakeLe(std::string_view& rest) {
  const T value = LoadLe<T>(rest.data());
  rest.remove_prefix(sizeof value);
  return value;
}

// Reads what follows the head; false where it does not fit the kind.
bool DecodeRest(std::string_view rest, ObjectRecord& record) {
  using Kind = ObjectRecord::Kind;
  if (record.kind > Kind::kEncodedBlob && !record.damaged()) return false;
  if (record.encoded()) {
    if (rest.size() < sizeof(Digest)) return false;
    const auto base = TakeLe<Digest>(rest);
    if (base != Digest{}) record.base = base;
  }
  if (record.kind == Kind::kInline || record.kind == Kind::kEncodedInline) {
    record.bytes = rest;
    return record.encoded() || rest.size() == record.size;
  }
  const bool tells_bytes = record.kind != Kind::kBlob;
  if (rest.size() < (tells_bytes ? 16 : 8)) return false;
  if (tells_bytes) record.blob_bytes = TakeLe<uint64_t>(rest);
  record.blob = TakeLe<uint64_t>(rest);
  if (record.damaged()) record.why = std::exchange(rest, {});
  return rest.empty() && (record.in_blob() || record.damaged());
}

}  // namespace

std::string ObjectRecord::Encode() const {
  std::string value;
  AppendLe(value, kVersion);
  AppendLe(value, kind);
  AppendLe(value, size);
  AppendLe(value, created);
  if (encoded()) AppendLe(value, base.value_or(Digest{}));
  if (kind == Kind::kEncodedBlob || damaged()) AppendLe(value, blob_bytes);
  if (in_blob() || damaged()) AppendLe(value, blob);
  if (!in_blob() || damaged()) value.append(damaged() ? why : bytes);
  return value;
}

Result<ObjectRecord> ObjectRecord::Decode(std::string_view value, std::string_view key) {
  ObjectRecord record;
  const bool head = value.size() >= kHeadBytes && LoadLe<uint8_t>(value.data()) == kVersion;
  if (head) {
    record.kind = LoadLe<Kind>(value.data() + 1);
    record.size = LoadLe<uint64_t>(value.data() + 2);
    record.created = LoadLe<UnixMicros>(value.data() + 10);
  }
  if (head && DecodeRest(value.substr(kHeadBytes), record)) return record;
  return Fail(Errc::kCorrupt, "bad_record", "object record '" + std::string(key) + "'");
}

// 256 partitions: a cluster can spread them.
std::string ObjectKey(const Digest& digest) {
  const std::string hex = digest.Hex();
  return std::string(kObjectPrefix) + hex.substr(0, 2) + "/" + hex;
}

std::string CondemnedKey(const Digest& digest) {
  std::string key = ObjectKey(digest);
  key.insert(key.rfind('/') + 1, 1, '~');
  return key;
}

Result<Digest> DigestOfObjectKey(std::string_view key) {
  return Digest::FromText(key.substr(key.rfind('/') + 1));
}

Error UnknownObject(const Digest& digest) {
  return Fail(Errc::kNotFound, "unknown_object", "no object " + digest.Text());
}

Error ObjectDamaged(const Digest& digest, std::string_view why) {
  return Fail(Errc::kCorrupt, "object_damaged",
              "object " + digest.Text() + " is damaged: " + std::string(why));
}

Error BaseMissing(const Digest& base, const Digest& of) {
  return ObjectDamaged(base, "it is missing, and " + of.Text() + " is a difference from it");
}

Result<void> CheckDigest(const std::optional<Digest>& expected, const Digest& actual) {
  if (!expected || *expected == actual) return {};
  return Fail(Errc::kCorrupt, "digest_mismatch",
              "the bytes have digest " + actual.Text() + ", not " + expected->Text());
}

}  // namespace signum
