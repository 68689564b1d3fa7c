#include <string>

#include "storage/object_record.h"
#include "storage/object_store.h"

namespace signum {

namespace {

// Less than this is not worth a second form: it lies in the keys anyway.
constexpr uint64_t kMinEncodedBytes = 4096;

// Whether the encoded form saves enough to be decoded at every read.
bool Helps(uint64_t encoded, uint64_t raw) { return encoded < raw - raw / 32; }

// Takes an encoded object as it is made: in memory as long as it is small, else in a blob.
class Spool {
 public:
  explicit Spool(Engine& engine) : engine_(engine) {}

  Result<void> Append(ConstBytes piece) {
    if (!writer_ && small_.size() + piece.size() <= ObjectStore::kInlineObjectBytes) {
      small_.append(AsText(piece));
      return {};
    }
    if (!writer_) {
      SIGNUM_ASSIGN(writer_, engine_.CreateBlob());
      SIGNUM_TRY(writer_->Append(AsBytes(small_)));
    }
    return writer_->Append(piece);
  }

  // Where the bytes are now. `record` points into this.
  Result<void> Finish(ObjectRecord& record) {
    record.kind = writer_ ? ObjectRecord::Kind::kEncodedBlob : ObjectRecord::Kind::kEncodedInline;
    record.bytes = small_;
    if (!writer_) return {};
    SIGNUM_ASSIGN(record.blob, writer_->Seal());
    return {};
  }

 private:
  Engine& engine_;
  std::string small_;
  std::unique_ptr<BlobWriter> writer_;
};

}  // namespace

// Only the end tells whether encoding helped. Where it did not, nothing of it stays, and the bytes
// are read again.
Result<ObjectStore::PutResult> ObjectStore::PutEncoded(const ByteSource& bytes,
                                                       const Digest& expected,
                                                       const Encoding& encoding,
                                                       const ByteProgress& progress) {
  if (bytes.size() < kMinEncodedBytes) return Put(bytes, expected, progress);
  SIGNUM_ASSIGN(const bool there, Keep(expected));
  if (there) return PutResult{expected, bytes.size()};
  SIGNUM_ASSIGN(const auto unreadable, engine_.Get(ObjectKey(expected)));
  if (unreadable) return Put(bytes, expected, progress);
  ObjectRecord record;
  record.size = bytes.size();
  std::shared_ptr<const ByteSource> base;
  if (encoding.base) {
    SIGNUM_ASSIGN(const Info info, Describe(*encoding.base));
    record.base = info.base ? info.base : encoding.base;
    SIGNUM_ASSIGN(base, Open(*record.base));
    SIGNUM_ASSIGN(const auto kept, KeepOne(*record.base));
    if (!kept || kept->base) return Put(bytes, expected, progress);  // changed since
  }
  Spool spool(engine_);
  const auto append = [&](ConstBytes piece) { return spool.Append(piece); };
  SIGNUM_ASSIGN(const EncodeResult encoded,
                EncodeObject(bytes, encoding.layout, base.get(), append, progress));
  if (!Helps(encoded.size, bytes.size())) return Put(bytes, expected);
  SIGNUM_TRY(CheckDigest(expected, encoded.digest));
  record.blob_bytes = encoded.size;
  SIGNUM_TRY(spool.Finish(record));
  return PutRecord(expected, record);
}

}  // namespace signum
