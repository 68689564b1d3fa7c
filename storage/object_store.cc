#include "storage/object_store.h"

#include <algorithm>

#include "storage/object_record.h"
#include "storage/transaction.h"

namespace signum {

namespace {

constexpr size_t kCopyBytes = 1 << 20;

Error UnknownObject(const Digest& digest) {
  return Fail(Errc::kNotFound, "unknown_object", "no object " + digest.Text());
}

Result<void> CheckDigest(const std::optional<Digest>& expected, const Digest& actual) {
  if (!expected || *expected == actual) return {};
  return Fail(Errc::kCorrupt, "digest_mismatch",
              "the bytes have digest " + actual.Text() + ", not " + expected->Text());
}

Error ObjectDamaged(const Digest& digest, std::string_view why) {
  return Fail(Errc::kCorrupt, "object_damaged",
              "object " + digest.Text() + " is damaged: " + std::string(why));
}

// The digest of all of `bytes`.
Result<Digest> HashOf(const ByteSource& bytes, const ByteProgress& progress) {
  Sha256 hash;
  std::vector<std::byte> buffer(std::min<uint64_t>(kCopyBytes, bytes.size()));
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

// Copies all of `bytes` to `writer` and returns their digest.
Result<Digest> Copy(const ByteSource& bytes, BlobWriter& writer, const ByteProgress& progress) {
  Sha256 hash;
  const ConstBytes view = bytes.View();
  std::vector<std::byte> buffer(view.empty() ? kCopyBytes : 0);
  for (uint64_t offset = 0; offset < bytes.size();) {
    const size_t take = std::min<uint64_t>(kCopyBytes, bytes.size() - offset);
    ConstBytes part = view.empty() ? ConstBytes(buffer).first(take) : view.subspan(offset, take);
    if (view.empty()) SIGNUM_TRY(bytes.Read(offset, MutableBytes(buffer).first(take)));
    hash.Update(part);
    SIGNUM_TRY(writer.Append(part));
    offset += take;
    if (progress && !progress(offset)) {
      return Fail(Errc::kCancelled, "cancelled", "storing an object was stopped");
    }
  }
  return hash.Finish();
}

}  // namespace

Result<ObjectStore::PutResult> ObjectStore::Put(const ByteSource& bytes,
                                                const std::optional<Digest>& expected,
                                                const ByteProgress& progress) {
  if (expected) {
    SIGNUM_ASSIGN(const bool there, Keep(*expected));
    if (there) return PutResult{*expected, bytes.size(), false};
  }
  if (bytes.size() > kInlineObjectBytes) return PutBlob(bytes, expected, progress);
  SIGNUM_ASSIGN(const std::string copy, ReadAll(bytes, kInlineObjectBytes));
  return PutInline(AsBytes(copy), expected);
}

Result<ObjectStore::PutResult> ObjectStore::Put(ConstBytes bytes) {
  if (bytes.size() <= kInlineObjectBytes) return PutInline(bytes, std::nullopt);
  const Digest digest = Sha256::Of(bytes);
  return Put(MemorySource(std::string(AsText(bytes))), digest, {});
}

Result<ObjectStore::PutResult> ObjectStore::PutInline(ConstBytes bytes,
                                                      const std::optional<Digest>& expected) {
  PutResult result{Sha256::Of(bytes), bytes.size(), true};
  SIGNUM_TRY(CheckDigest(expected, result.digest));
  ObjectRecord record;
  record.size = bytes.size();
  record.created = SystemClock().Now();
  record.bytes = AsText(bytes);
  SIGNUM_ASSIGN(result.created, Install(result.digest, record));
  return result;
}

// Writes the record of an object that is not there, or is damaged; false where a sound one is.
Result<bool> ObjectStore::Install(const Digest& digest, const ObjectRecord& record) {
  const std::string key = ObjectKey(digest);
  std::optional<uint64_t> replaced;  // the blob of the damaged one, or 0
  const auto installed = Transact<bool>(engine_, [&](Transaction& transaction) -> Result<bool> {
    replaced.reset();
    SIGNUM_ASSIGN(const auto stored, transaction.Get(key));
    if (stored) {
      SIGNUM_ASSIGN(const ObjectRecord present, ObjectRecord::Decode(*stored, key));
      if (present.damaged()) replaced = present.blob;
      const std::string mark = CondemnedKey(digest);
      SIGNUM_ASSIGN(const auto condemned, transaction.Get(mark));
      if (condemned) transaction.Delete(mark);
      if (!replaced) return false;
    }
    transaction.Put(key, record.Encode());
    return true;
  });
  if (installed.has_error() || !replaced) return installed;
  --damaged_;
  if (*replaced != 0) static_cast<void>(engine_.DeleteBlob(*replaced));  // else a stray
  return installed;
}

Result<bool> ObjectStore::Keep(const Digest& digest) {
  return Transact<bool>(engine_, [&](Transaction& transaction) -> Result<bool> {
    const std::string key = ObjectKey(digest);
    SIGNUM_ASSIGN(const auto stored, transaction.Get(key));
    if (!stored) return false;
    SIGNUM_ASSIGN(const ObjectRecord record, ObjectRecord::Decode(*stored, key));
    if (record.damaged()) return false;
    const std::string mark = CondemnedKey(digest);
    SIGNUM_ASSIGN(const auto condemned, transaction.Get(mark));
    if (condemned) transaction.Delete(mark);
    return true;
  });
}

Result<ObjectStore::PutResult> ObjectStore::PutBlob(const ByteSource& bytes,
                                                    const std::optional<Digest>& expected,
                                                    const ByteProgress& progress) {
  SIGNUM_ASSIGN(const auto writer, engine_.CreateBlob());
  PutResult result{{}, bytes.size(), false};
  SIGNUM_ASSIGN(result.digest, Copy(bytes, *writer, progress));
  SIGNUM_TRY(CheckDigest(expected, result.digest));
  SIGNUM_ASSIGN(const uint64_t blob, writer->Seal());
  SIGNUM_ASSIGN(result.created, Refer(result.digest, result.size, blob));
  DropStrays();
  return result;
}

// Writes the record of a sealed blob; false where the object is there already, and the blob goes.
Result<bool> ObjectStore::Refer(const Digest& digest, uint64_t size, uint64_t blob) {
  ObjectRecord record;
  record.kind = ObjectRecord::Kind::kBlob;
  record.size = size;
  record.created = SystemClock().Now();
  record.blob = blob;
  const auto installed = Install(digest, record);
  if (installed.has_value()) {
    if (!*installed) SIGNUM_TRY(engine_.DeleteBlob(blob));
    return installed;
  }
  std::lock_guard lock(strays_mutex_);
  strays_.push_back({blob, digest});
  return installed;
}

// Called after a commit that worked. What cannot be deleted now is found by the sweep at the next
// start.
void ObjectStore::DropStrays() {
  std::vector<Stray> strays;
  {
    std::lock_guard lock(strays_mutex_);
    strays.swap(strays_);
  }
  for (const Stray& stray : strays) {
    const std::string key = ObjectKey(stray.digest);
    const auto stored = engine_.Get(key);
    if (stored.has_error()) continue;
    if (stored->has_value()) {
      const auto record = ObjectRecord::Decode(**stored, key);
      if (record.has_error() || record->blob == stray.blob) continue;
    }
    static_cast<void>(engine_.DeleteBlob(stray.blob));
  }
}

// The bytes of a blob that is an object. Where they cannot be read, the object is verified, and so
// quarantined; or it was stored anew since this was opened, and is read from there.
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
    SIGNUM_ASSIGN(auto bytes, objects_.OpenRaw(digest_));
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
  auto raw = OpenRaw(digest);
  if (raw.has_error() && raw.error().code == Errc::kCorrupt) {
    SIGNUM_TRY(Verify(digest));  // quarantines it
    raw = OpenRaw(digest);
  }
  if (raw.has_error() || (*raw)->size() <= kInlineObjectBytes) return raw;
  return std::shared_ptr<const ByteSource>(
      std::make_shared<ObjectSource>(*this, digest, *std::move(raw)));
}

Result<uint64_t> ObjectStore::Verify(const Digest& digest, const ByteProgress& progress) const {
  const std::string key = ObjectKey(digest);
  SIGNUM_ASSIGN(const auto stored, engine_.Get(key));
  if (!stored) return UnknownObject(digest);
  const auto raw = OpenRaw(digest);
  const auto actual = raw.has_value() ? HashOf(**raw, progress) : Result<Digest>(raw.error());
  if (actual.has_value() && *actual == digest) return (*raw)->size();
  if (actual.has_error() && actual.error().reason == "object_damaged") return actual.error();
  const bool wrong = actual.has_value() || actual.error().code == Errc::kCorrupt;
  if (!wrong && actual.error().code != Errc::kNotFound) return actual.error();
  SIGNUM_ASSIGN(const auto now, engine_.Get(key));
  if (now != stored) return Verify(digest, progress);  // deleted, or stored anew, meanwhile
  const std::string why =
      actual.has_value() ? "its bytes have digest " + actual->Text() : actual.error().message;
  const auto quarantined = Quarantine(digest, *stored, why);
  if (quarantined.has_value()) return ObjectDamaged(digest, why);
  if (quarantined.error().code == Errc::kPrecondition) return Verify(digest, progress);
  return quarantined.error();
}

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
  record.kind = ObjectRecord::Kind::kDamaged;
  record.why = why;
  Batch batch;
  batch.Require(key, seen);
  batch.Put(key, record.Encode());
  SIGNUM_TRY(engine_.Commit(batch));
  ++damaged_;
  return {};
}

std::shared_ptr<void> ObjectStore::HoldCollection() {
  std::lock_guard lock(holds_mutex_);
  const auto held = holds_.insert(std::chrono::steady_clock::now());
  return {this, [held](ObjectStore* store) {
            std::lock_guard release(store->holds_mutex_);
            store->holds_.erase(held);
          }};
}

std::optional<std::chrono::steady_clock::time_point> ObjectStore::OldestHold() const {
  std::lock_guard lock(holds_mutex_);
  return holds_.empty() ? std::nullopt : std::optional(*holds_.begin());
}

Result<std::shared_ptr<const ByteSource>> ObjectStore::OpenRaw(const Digest& digest) const {
  const std::string key = ObjectKey(digest);
  SIGNUM_ASSIGN(const auto stored, engine_.Get(key));
  if (!stored) return UnknownObject(digest);
  SIGNUM_ASSIGN(const ObjectRecord record, ObjectRecord::Decode(*stored, key));
  if (record.damaged()) return ObjectDamaged(digest, record.why);
  if (record.kind == ObjectRecord::Kind::kInline) {
    return std::shared_ptr<const ByteSource>(
        std::make_shared<MemorySource>(std::string(record.bytes)));
  }
  auto blob = engine_.OpenBlob(record.blob);
  if (blob.has_value() || blob.error().code != Errc::kNotFound) return blob;
  SIGNUM_ASSIGN(const auto now, engine_.Get(key));  // or deleted since
  if (!now) return UnknownObject(digest);
  if (now != stored) return OpenRaw(digest);
  return Fail(Errc::kCorrupt, "object_lost", "the blob of object " + digest.Text() + " is gone");
}

Result<bool> ObjectStore::Has(const Digest& digest) const {
  const std::string key = ObjectKey(digest);
  SIGNUM_ASSIGN(const auto stored, engine_.Get(key));
  if (!stored) return false;
  SIGNUM_ASSIGN(const ObjectRecord record, ObjectRecord::Decode(*stored, key));
  return !record.damaged();
}

Result<uint64_t> ObjectStore::Size(const Digest& digest) const {
  const std::string key = ObjectKey(digest);
  SIGNUM_ASSIGN(const auto stored, engine_.Get(key));
  if (!stored) return UnknownObject(digest);
  SIGNUM_ASSIGN(const ObjectRecord record, ObjectRecord::Decode(*stored, key));
  return record.size;
}

// The record goes first: a crash in between leaves a blob that nothing names, for the sweep.
Result<void> ObjectStore::Delete(const Digest& digest) {
  const std::string key = ObjectKey(digest);
  SIGNUM_ASSIGN(const auto stored, engine_.Get(key));
  if (!stored) return UnknownObject(digest);
  SIGNUM_ASSIGN(const ObjectRecord record, ObjectRecord::Decode(*stored, key));
  Batch batch;
  batch.Require(key, stored);
  batch.Delete(key);
  batch.Delete(CondemnedKey(digest));
  const Result<void> committed = engine_.Commit(batch);
  if (committed.has_error()) {
    return committed.error().code == Errc::kPrecondition ? UnknownObject(digest)
                                                         : committed.error();
  }
  if (record.damaged()) --damaged_;
  if (record.blob == 0) return {};
  return engine_.DeleteBlob(record.blob);
}

}  // namespace signum
