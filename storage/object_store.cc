#include "storage/object_store.h"

#include <algorithm>

#include "storage/object_record.h"

namespace signum {

namespace {

constexpr size_t kCopyBytes = 1 << 20;

Error UnknownObject(const Digest& digest) {
  return Fail(Errc::kNotFound, "unknown_object", "no object " + digest.Text());
}

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
  const Digest digest = Sha256::Of(bytes);
  SIGNUM_TRY(CheckDigest(expected, digest));
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
  PutResult result{digest, record.size, true, record.stored_bytes()};
  const std::string key = ObjectKey(digest);
  Batch batch;
  batch.Require(key, std::nullopt);
  batch.Put(key, record.Encode());
  const Result<void> committed = engine_.Commit(batch);
  if (committed.has_error() && committed.error().code != Errc::kPrecondition) {
    if (!record.in_blob()) return committed.error();
    std::lock_guard lock(strays_mutex_);
    strays_.push_back({record.blob, digest});
    return committed.error();
  }
  if (committed.has_error()) {
    if (record.in_blob()) SIGNUM_TRY(engine_.DeleteBlob(record.blob));
    result.created = false;
    result.stored_bytes = 0;
  }
  if (record.in_blob()) DropStrays();
  return result;
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

Result<std::string> ObjectStore::ReadRecord(const Digest& digest) const {
  SIGNUM_ASSIGN(auto stored, engine_.Get(ObjectKey(digest)));
  if (!stored) return UnknownObject(digest);
  return *std::move(stored);
}

Result<std::shared_ptr<const ByteSource>> ObjectStore::Open(const Digest& digest) const {
  return OpenAs(digest, false);
}

Result<std::shared_ptr<const ByteSource>> ObjectStore::OpenAs(const Digest& digest,
                                                              bool is_base) const {
  SIGNUM_ASSIGN(const std::string stored, ReadRecord(digest));
  SIGNUM_ASSIGN(const auto record, ObjectRecord::Decode(stored, ObjectKey(digest)));
  return record.encoded() ? OpenEncoded(digest, record, is_base) : OpenBytes(digest, record);
}

Result<std::shared_ptr<const ByteSource>> ObjectStore::OpenBytes(const Digest& digest,
                                                                 const ObjectRecord& record) const {
  if (!record.in_blob()) {
    return std::shared_ptr<const ByteSource>(
        std::make_shared<MemorySource>(std::string(record.bytes)));
  }
  auto blob = engine_.OpenBlob(record.blob);
  if (blob.has_value() || blob.error().code != Errc::kNotFound) return blob;
  SIGNUM_ASSIGN(const bool there, Has(digest));  // or deleted since
  if (!there) return UnknownObject(digest);
  return Fail(Errc::kCorrupt, "object_lost", "the blob of object " + digest.Text() + " is gone");
}

Result<std::shared_ptr<const ByteSource>> ObjectStore::OpenEncoded(const Digest& digest,
                                                                   const ObjectRecord& record,
                                                                   bool is_base) const {
  std::shared_ptr<const ByteSource> base;
  if (record.base) {
    if (is_base) return BadEncoding(digest, "a base that has a base itself");
    auto opened = OpenAs(*record.base, true);
    if (opened.has_error() && opened.error().code == Errc::kNotFound) {
      return BadEncoding(digest, "its base " + record.base->Text() + " is gone");
    }
    SIGNUM_ASSIGN(base, std::move(opened));
  }
  SIGNUM_ASSIGN(auto bytes, OpenBytes(digest, record));
  SIGNUM_ASSIGN(auto decoded,
                EncodedObject::Open(std::move(bytes), std::move(base), digest, blocks_));
  if (decoded->size() != record.size) return BadEncoding(digest, "another size than its record's");
  return std::shared_ptr<const ByteSource>(std::move(decoded));
}

Result<bool> ObjectStore::Has(const Digest& digest) const {
  SIGNUM_ASSIGN(const auto stored, engine_.Get(ObjectKey(digest)));
  return stored.has_value();
}

Result<ObjectStore::Info> ObjectStore::Describe(const Digest& digest) const {
  SIGNUM_ASSIGN(const std::string stored, ReadRecord(digest));
  SIGNUM_ASSIGN(const auto record, ObjectRecord::Decode(stored, ObjectKey(digest)));
  return Info{record.size, record.stored_bytes(), record.base};
}

// The record goes first: a crash in between leaves a blob that nothing names, for the sweep.
Result<void> ObjectStore::Delete(const Digest& digest) {
  SIGNUM_ASSIGN(const std::string stored, ReadRecord(digest));
  const std::string key = ObjectKey(digest);
  SIGNUM_ASSIGN(const auto record, ObjectRecord::Decode(stored, key));
  Batch batch;
  batch.Require(key, stored);
  batch.Delete(key);
  const Result<void> committed = engine_.Commit(batch);
  if (committed.has_error()) {
    return committed.error().code == Errc::kPrecondition ? UnknownObject(digest)
                                                         : committed.error();
  }
  return record.in_blob() ? engine_.DeleteBlob(record.blob) : Result<void>();
}

}  // namespace signum
