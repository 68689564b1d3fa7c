#include "storage/object_store.h"

#include <algorithm>

#include "storage/object_record.h"

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
    SIGNUM_ASSIGN(const bool there, Has(*expected));
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
  const std::string key = ObjectKey(result.digest);
  Batch batch;
  batch.Require(key, std::nullopt);
  batch.Put(key, record.Encode());
  const Result<void> committed = engine_.Commit(batch);
  if (committed.has_value()) return result;
  if (committed.error().code != Errc::kPrecondition) return committed.error();
  result.created = false;
  return result;
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
  const std::string key = ObjectKey(digest);
  Batch batch;
  batch.Require(key, std::nullopt);
  batch.Put(key, record.Encode());
  const Result<void> committed = engine_.Commit(batch);
  if (committed.has_value()) return true;
  if (committed.error().code == Errc::kPrecondition) {
    SIGNUM_TRY(engine_.DeleteBlob(blob));
    return false;
  }
  std::lock_guard lock(strays_mutex_);
  strays_.push_back({blob, digest});
  return committed.error();
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

Result<std::shared_ptr<const ByteSource>> ObjectStore::Open(const Digest& digest) const {
  const std::string key = ObjectKey(digest);
  SIGNUM_ASSIGN(const auto stored, engine_.Get(key));
  if (!stored) return UnknownObject(digest);
  SIGNUM_ASSIGN(const ObjectRecord record, ObjectRecord::Decode(*stored, key));
  if (record.kind == ObjectRecord::Kind::kInline) {
    return std::shared_ptr<const ByteSource>(
        std::make_shared<MemorySource>(std::string(record.bytes)));
  }
  auto blob = engine_.OpenBlob(record.blob);
  if (blob.has_value() || blob.error().code != Errc::kNotFound) return blob;
  SIGNUM_ASSIGN(const bool there, Has(digest));  // or deleted since
  if (!there) return UnknownObject(digest);
  return Fail(Errc::kCorrupt, "object_lost", "the blob of object " + digest.Text() + " is gone");
}

Result<bool> ObjectStore::Has(const Digest& digest) const {
  SIGNUM_ASSIGN(const auto stored, engine_.Get(ObjectKey(digest)));
  return stored.has_value();
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
  const Result<void> committed = engine_.Commit(batch);
  if (committed.has_error()) {
    return committed.error().code == Errc::kPrecondition ? UnknownObject(digest)
                                                         : committed.error();
  }
  if (record.kind == ObjectRecord::Kind::kInline) return {};
  return engine_.DeleteBlob(record.blob);
}

}  // namespace signum
