#include "storage/object_store.h"

#include <algorithm>

#include "storage/object_record.h"
#include "storage/transaction.h"

namespace signum {

namespace {

constexpr size_t kCopyBytes = 1 << 20;

Error BadEncoding(const Digest& digest, const std::string& why) {
  return Fail(Errc::kCorrupt, "bad_encoding", "object " + digest.Text() + ": " + why);
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
    if (there) return PutResult{*expected, bytes.size()};
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
  const Digest digest = Sha256::Of(bytes);
  SIGNUM_TRY(CheckDigest(expected, digest));
  if (!expected) {
    SIGNUM_ASSIGN(const bool there, Keep(digest));
    if (there) return PutResult{digest, bytes.size()};
  }
  ObjectRecord record;
  record.size = bytes.size();
  record.bytes = AsText(bytes);
  return PutRecord(digest, record);
}

Result<ObjectStore::PutResult> ObjectStore::PutBlob(const ByteSource& bytes,
                                                    const std::optional<Digest>& expected,
                                                    const ByteProgress& progress) {
  SIGNUM_ASSIGN(const auto writer, engine_.CreateBlob());
  SIGNUM_ASSIGN(const Digest digest, Copy(bytes, *writer, progress));
  SIGNUM_TRY(CheckDigest(expected, digest));
  if (!expected) {
    SIGNUM_ASSIGN(const bool there, Keep(digest));
    if (there) return PutResult{digest, bytes.size()};
  }
  ObjectRecord record;
  record.kind = ObjectRecord::Kind::kBlob;
  record.size = bytes.size();
  SIGNUM_ASSIGN(record.blob, writer->Seal());
  return PutRecord(digest, record);
}

// Writes the record of an object whose blob, if it has one, is sealed. Where the object is there
// already, the blob goes.
Result<ObjectStore::PutResult> ObjectStore::PutRecord(const Digest& digest, ObjectRecord record) {
  record.created = SystemClock().Now();
  const auto installed = Install(digest, record);
  if (installed.has_error()) {
    if (!record.in_blob()) return installed.error();
    std::lock_guard lock(strays_mutex_);
    strays_.push_back({record.blob, digest});
    return installed.error();
  }
  if (!*installed && record.in_blob()) SIGNUM_TRY(engine_.DeleteBlob(record.blob));
  if (record.in_blob()) DropStrays();
  return PutResult{digest, record.size, *installed, *installed ? record.stored_bytes() : 0};
}

// Writes the record of an object that is not there, or cannot be read; false where a sound one is.
Result<bool> ObjectStore::Install(const Digest& digest, const ObjectRecord& record) {
  const std::string key = ObjectKey(digest);
  bool was_damaged = false;
  uint64_t replaced = 0;  // the blob of what was there, or 0
  const auto installed = Transact<bool>(engine_, [&](Transaction& transaction) -> Result<bool> {
    was_damaged = false;
    replaced = 0;
    SIGNUM_ASSIGN(const auto stored, transaction.Get(key));
    if (stored) {
      SIGNUM_ASSIGN(const ObjectRecord present, ObjectRecord::Decode(*stored, key));
      const std::string mark = CondemnedKey(digest);
      SIGNUM_ASSIGN(const auto condemned, transaction.Get(mark));
      if (condemned) transaction.Delete(mark);
      SIGNUM_ASSIGN(const bool sound, IsSound(present));
      if (sound) return false;
      was_damaged = present.damaged();
      replaced = present.blob;
    }
    transaction.Put(key, record.Encode());
    return true;
  });
  if (installed.has_error()) return installed;
  if (was_damaged) --damaged_;
  if (replaced != 0) static_cast<void>(engine_.DeleteBlob(replaced));  // else a stray
  return installed;
}

// Whether an object can be read, as far as records tell.
Result<bool> ObjectStore::IsSound(const ObjectRecord& record) const {
  if (record.damaged() || !record.base) return !record.damaged();
  const auto base = Describe(*record.base);
  if (base.has_error() && base.error().code != Errc::kNotFound) return base.error();
  return base.has_value() && !base->damaged && !base->base;
}

// The base is kept in a transaction of its own (it lies in another partition): collection may have
// been faster, and then the object is as good as gone.
Result<bool> ObjectStore::Keep(const Digest& digest) {
  SIGNUM_ASSIGN(const auto kept, KeepOne(digest));
  if (!kept || !kept->base) return kept.has_value();
  SIGNUM_ASSIGN(const auto base, KeepOne(*kept->base));
  return base && !base->base;
}

// What is there and not damaged, no longer condemned.
Result<std::optional<ObjectStore::Info>> ObjectStore::KeepOne(const Digest& digest) {
  using Kept = std::optional<Info>;
  return Transact<Kept>(engine_, [&](Transaction& transaction) -> Result<Kept> {
    const std::string key = ObjectKey(digest);
    SIGNUM_ASSIGN(const auto stored, transaction.Get(key));
    if (!stored) return Kept();
    SIGNUM_ASSIGN(const ObjectRecord record, ObjectRecord::Decode(*stored, key));
    if (record.damaged()) return Kept();
    const std::string mark = CondemnedKey(digest);
    SIGNUM_ASSIGN(const auto condemned, transaction.Get(mark));
    if (condemned) transaction.Delete(mark);
    return Kept({record.size, record.stored_bytes(), record.base});
  });
}

// Called after a commit that worked. What cannot be deleted now is found at the next start.
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

Result<std::string> ObjectStore::ReadRecord(const Digest& digest) const {
  SIGNUM_ASSIGN(auto stored, engine_.Get(ObjectKey(digest)));
  if (!stored) return UnknownObject(digest);
  return *std::move(stored);
}

// Where that fails, the object may have been deleted, or stored anew, since its record was read.
Result<std::shared_ptr<const ByteSource>> ObjectStore::OpenStored(
    const Digest& digest, const std::shared_ptr<BlockCache>& cache, bool is_base) const {
  SIGNUM_ASSIGN(const std::string stored, ReadRecord(digest));
  SIGNUM_ASSIGN(const auto record, ObjectRecord::Decode(stored, ObjectKey(digest)));
  if (record.damaged()) return ObjectDamaged(digest, record.why);
  auto opened =
      record.encoded() ? OpenEncoded(digest, record, cache, is_base) : OpenBytes(digest, record);
  if (opened.has_value() || opened.error().code != Errc::kCorrupt) return opened;
  SIGNUM_ASSIGN(const std::string now, ReadRecord(digest));
  return now == stored ? opened : OpenStored(digest, cache, is_base);
}

Result<std::shared_ptr<const ByteSource>> ObjectStore::OpenBytes(const Digest& digest,
                                                                 const ObjectRecord& record) const {
  if (!record.in_blob()) {
    return std::shared_ptr<const ByteSource>(
        std::make_shared<MemorySource>(std::string(record.bytes)));
  }
  auto blob = engine_.OpenBlob(record.blob);
  if (blob.has_value() || blob.error().code != Errc::kNotFound) return blob;
  return Fail(Errc::kCorrupt, "object_lost", "the blob of object " + digest.Text() + " is gone");
}

Result<std::shared_ptr<const ByteSource>> ObjectStore::OpenEncoded(
    const Digest& digest, const ObjectRecord& record, const std::shared_ptr<BlockCache>& cache,
    bool is_base) const {
  std::shared_ptr<const ByteSource> base;
  if (record.base) {
    if (is_base) return BadEncoding(digest, "a base that has a base itself");
    auto opened = OpenStored(*record.base, cache, true);
    if (opened.has_error() && opened.error().code == Errc::kNotFound) {
      return BaseMissing(*record.base, digest);
    }
    SIGNUM_ASSIGN(base, std::move(opened));
  }
  SIGNUM_ASSIGN(auto bytes, OpenBytes(digest, record));
  SIGNUM_ASSIGN(auto decoded,
                EncodedObject::Open(std::move(bytes), std::move(base), digest, cache));
  if (decoded->size() != record.size) return BadEncoding(digest, "another size than its record's");
  return std::shared_ptr<const ByteSource>(std::move(decoded));
}

Result<bool> ObjectStore::Has(const Digest& digest) const {
  const std::string key = ObjectKey(digest);
  SIGNUM_ASSIGN(const auto stored, engine_.Get(key));
  if (!stored) return false;
  SIGNUM_ASSIGN(const ObjectRecord record, ObjectRecord::Decode(*stored, key));
  return !record.damaged();
}

Result<ObjectStore::Info> ObjectStore::Describe(const Digest& digest) const {
  SIGNUM_ASSIGN(const std::string stored, ReadRecord(digest));
  SIGNUM_ASSIGN(const auto record, ObjectRecord::Decode(stored, ObjectKey(digest)));
  return Info{record.size, record.stored_bytes(), record.base, record.damaged(), record.created};
}

// The record goes first: a crash in between leaves a blob that nothing names, for the next start.
Result<void> ObjectStore::Delete(const Digest& digest) {
  SIGNUM_ASSIGN(const std::string stored, ReadRecord(digest));
  const std::string key = ObjectKey(digest);
  SIGNUM_ASSIGN(const auto record, ObjectRecord::Decode(stored, key));
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
  return record.in_blob() ? engine_.DeleteBlob(record.blob) : Result<void>();
}

std::shared_ptr<void> ObjectStore::HoldCollection() {
  std::lock_guard lock(holds_mutex_);
  const auto held = holds_.insert(std::chrono::steady_clock::now());
  return {this, [held](ObjectStore* store) {
            std::lock_guard release(store->holds_mutex_);
            store->holds_.erase(held);
          }};
}

Result<void> ObjectStore::BetweenHolds(const std::function<Result<void>()>& write) {
  std::lock_guard lock(holds_mutex_);
  return write();
}

std::optional<std::chrono::steady_clock::time_point> ObjectStore::OldestHold() const {
  std::lock_guard lock(holds_mutex_);
  return holds_.empty() ? std::nullopt : std::optional(*holds_.begin());
}

}  // namespace signum
