#include <algorithm>
#include <mutex>

#include "storage/object_record.h"
#include "storage/object_store.h"

namespace signum {

namespace {

constexpr size_t kReadBytes = 1 << 20;

// The digest of all of `bytes`.
Result<Digest> HashOf(const ByteSource& bytes, const ByteProgress& progress) {
  Sha256 hash;
  std::vector<std::byte> buffer(std::min<uint64_t>(kReadBytes, bytes.size()));
  for (uint64_t offset = 0; offset < bytes.size();) {
    const auto part =
        MutableBytes(buffer).first(std::min<uint64_t>(buffer.size(), bytes.size() - offset));
    SIGNUM_TRY(bytes.Read(offset, part));
    hash.Update(part);
    offset += part.size();
    if (progress && !progress(offset)) {
      return Fail(Errc::kCancelled, "cancelled", "reading an object was stopped");
    }
  }
  return hash.Finish();
}

}  // namespace

// The bytes of an object. Where they cannot be read, the object is verified, and so what is damaged
// of it is quarantined; or it was stored anew since this was opened, and is read from there.
class ObjectSource final : public ByteSource {
 public:
  ObjectSource(const ObjectStore& objects, const Digest& digest,
               std::shared_ptr<const ByteSource> bytes)
      : objects_(objects), digest_(digest), size_(bytes->size()), bytes_(std::move(bytes)) {}

  uint64_t size() const override { return size_; }
  ConstBytes View() const override { return Bytes()->View(); }
  Result<void> Read(uint64_t offset, MutableBytes out) const override {
    const auto read = Bytes()->Read(offset, out);
    if (read.has_value() || !IsLost(read.error())) return read;
    SIGNUM_ASSIGN(const auto again, OpenAgain());
    return again->Read(offset, out);
  }
  Result<HeldBytes> Hold(uint64_t offset, uint64_t most) const override {
    auto held = Bytes()->Hold(offset, most);
    if (held.has_value() || !IsLost(held.error())) return held;
    SIGNUM_ASSIGN(const auto again, OpenAgain());
    return again->Hold(offset, most);
  }

 private:
  static bool IsLost(const Error& error) {
    return error.code == Errc::kCorrupt || error.code == Errc::kNotFound;
  }
  std::shared_ptr<const ByteSource> Bytes() const {
    std::lock_guard lock(mutex_);
    return bytes_;
  }
  Result<std::shared_ptr<const ByteSource>> OpenAgain() const {
    SIGNUM_TRY(objects_.Verify(digest_));
    SIGNUM_ASSIGN(auto bytes, objects_.OpenStored(digest_, objects_.blocks_));
    std::lock_guard lock(mutex_);
    bytes_ = bytes;
    return bytes;
  }

  const ObjectStore& objects_;
  const Digest digest_;
  const uint64_t size_;
  mutable std::mutex mutex_;
  mutable std::shared_ptr<const ByteSource> bytes_;
};

Result<std::shared_ptr<const ByteSource>> ObjectStore::Open(const Digest& digest) const {
  auto opened = OpenStored(digest, blocks_);
  if (opened.has_error() && opened.error().code == Errc::kCorrupt) {
    SIGNUM_TRY(Verify(digest));  // quarantines what is damaged
    opened = OpenStored(digest, blocks_);
  }
  if (opened.has_error()) return opened;
  return std::shared_ptr<const ByteSource>(
      std::make_shared<ObjectSource>(*this, digest, *std::move(opened)));
}

// ---- verifying

// What the store's bytes are, not what a cache has.
Result<Digest> ObjectStore::HashStored(const Digest& digest, const ByteProgress& progress) const {
  SIGNUM_ASSIGN(const auto bytes, OpenStored(digest, nullptr));
  return HashOf(*bytes, progress);
}

Result<uint64_t> ObjectStore::Verify(const Digest& digest, const ByteProgress& progress) const {
  SIGNUM_ASSIGN(const std::string stored, ReadRecord(digest));
  SIGNUM_ASSIGN(const auto record, ObjectRecord::Decode(stored, ObjectKey(digest)));
  SIGNUM_ASSIGN(const auto base, RecordOfBase(record));
  const auto actual = HashStored(digest, progress);
  if (actual.has_value() && *actual == digest) return record.size;
  if (actual.has_error() && actual.error().reason == "object_damaged") return actual.error();
  const bool wrong = actual.has_value() || actual.error().code == Errc::kCorrupt;
  if (!wrong && actual.error().code != Errc::kNotFound) return actual.error();
  if (record.base) SIGNUM_TRY(VerifyBase(*record.base, digest));
  SIGNUM_ASSIGN(const std::string now, ReadRecord(digest));
  SIGNUM_ASSIGN(const auto base_now, RecordOfBase(record));
  const bool changed = now != stored || base_now != base;
  if (changed) return Verify(digest, progress);  // stored anew meanwhile
  const std::string why =
      actual.has_value() ? "its bytes have digest " + actual->Text() : actual.error().message;
  const auto quarantined = Quarantine(digest, stored, why);
  if (quarantined.has_value()) return ObjectDamaged(digest, why);
  if (quarantined.error().code == Errc::kPrecondition) return Verify(digest, progress);
  return quarantined.error();
}

// The record of what an object is a difference from, if it is one, and that is there.
Result<std::optional<std::string>> ObjectStore::RecordOfBase(const ObjectRecord& record) const {
  if (!record.base) return std::optional<std::string>();
  return engine_.Get(ObjectKey(*record.base));
}

// An object that does not decode may be sound, and what it is a difference from not.
Result<void> ObjectStore::VerifyBase(const Digest& base, const Digest& of) const {
  const auto verified = Verify(base);
  if (verified.has_value()) return {};
  const bool missing = verified.error().code == Errc::kNotFound;
  return missing ? BaseMissing(base, of) : verified.error();
}

// ---- quarantine

Result<void> ObjectStore::MarkDamaged(const Digest& digest, std::string_view why) const {
  const std::string key = ObjectKey(digest);
  SIGNUM_ASSIGN(const auto stored, engine_.Get(key));
  if (!stored) return {};
  SIGNUM_ASSIGN(const ObjectRecord record, ObjectRecord::Decode(*stored, key));
  if (record.damaged()) return {};
  const auto quarantined = Quarantine(digest, *stored, why);
  const bool changed = quarantined.has_error() && quarantined.error().code == Errc::kPrecondition;
  return changed ? MarkDamaged(digest, why) : quarantined;
}

Result<void> ObjectStore::Quarantine(const Digest& digest, const std::string& seen,
                                     std::string_view why) const {
  const std::string key = ObjectKey(digest);
  SIGNUM_ASSIGN(ObjectRecord record, ObjectRecord::Decode(seen, key));
  record.blob_bytes = record.in_blob() ? record.stored_bytes() : 0;
  record.kind = ObjectRecord::Kind::kDamaged;
  record.why = why;
  Batch batch;
  batch.Require(key, seen);
  batch.Put(key, record.Encode());
  SIGNUM_TRY(engine_.Commit(batch));
  ++damaged_;
  return {};
}

}  // namespace signum
