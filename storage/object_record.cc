#include "storage/object_record.h"

#include "storage/base/bytes.h"

namespace signum {

namespace {

constexpr uint8_t kVersion = 1;
constexpr size_t kHeadBytes = 18;

}  // namespace

std::string ObjectRecord::Encode() const {
  std::string value(kHeadBytes, '\0');
  StoreLe(value.data(), kVersion);
  StoreLe(value.data() + 1, static_cast<uint8_t>(kind));
  StoreLe(value.data() + 2, size);
  StoreLe(value.data() + 10, created);
  if (kind == Kind::kInline) {
    value.append(bytes);
    return value;
  }
  value.resize(kHeadBytes + 8);
  StoreLe(value.data() + kHeadBytes, blob);
  value.append(why);
  return value;
}

Result<ObjectRecord> ObjectRecord::Decode(std::string_view value, std::string_view key) {
  const auto bad = [&] {
    return Fail(Errc::kCorrupt, "bad_record", "object record '" + std::string(key) + "'");
  };
  if (value.size() < kHeadBytes || LoadLe<uint8_t>(value.data()) != kVersion) return bad();
  ObjectRecord record;
  record.kind = static_cast<Kind>(LoadLe<uint8_t>(value.data() + 1));
  record.size = LoadLe<uint64_t>(value.data() + 2);
  record.created = LoadLe<UnixMicros>(value.data() + 10);
  const std::string_view rest = value.substr(kHeadBytes);
  if (record.kind == Kind::kInline && rest.size() == record.size) {
    record.bytes = rest;
  } else if (record.kind == Kind::kBlob && rest.size() == 8) {
    record.blob = LoadLe<uint64_t>(rest.data());
  } else if (record.damaged() && rest.size() >= 8) {
    record.blob = LoadLe<uint64_t>(rest.data());
    record.why = rest.substr(8);
  } else {
    return bad();
  }
  return record;
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

}  // namespace signum
