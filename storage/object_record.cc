#include "storage/object_record.h"

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
  if (record.kind > ObjectRecord::Kind::kEncodedBlob) return false;
  if (record.encoded()) {
    if (rest.size() < sizeof(Digest)) return false;
    const auto base = TakeLe<Digest>(rest);
    if (base != Digest{}) record.base = base;
  }
  if (!record.in_blob()) {
    record.bytes = rest;
    return record.encoded() || rest.size() == record.size;
  }
  if (rest.size() != (record.encoded() ? 16 : 8)) return false;
  if (record.encoded()) record.encoded_bytes = TakeLe<uint64_t>(rest);
  record.blob = TakeLe<uint64_t>(rest);
  return true;
}

}  // namespace

std::string ObjectRecord::Encode() const {
  std::string value;
  AppendLe(value, kVersion);
  AppendLe(value, kind);
  AppendLe(value, size);
  AppendLe(value, created);
  if (encoded()) AppendLe(value, base.value_or(Digest{}));
  if (kind == Kind::kEncodedBlob) AppendLe(value, encoded_bytes);
  if (in_blob()) {
    AppendLe(value, blob);
  } else {
    value.append(bytes);
  }
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

Result<Digest> DigestOfObjectKey(std::string_view key) {
  return Digest::FromText(key.substr(key.rfind('/') + 1));
}

Result<void> CheckDigest(const std::optional<Digest>& expected, const Digest& actual) {
  if (!expected || *expected == actual) return {};
  return Fail(Errc::kCorrupt, "digest_mismatch",
              "the bytes have digest " + actual.Text() + ", not " + expected->Text());
}

}  // namespace signum
