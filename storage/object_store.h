#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include "storage/base/byte_source.h"
#include "storage/base/digest.h"
#include "storage/engine.h"
#include "storage/format/checkpoint.h"
#include "storage/format/encoded_object.h"

namespace signum {

struct ObjectRecord;

// Content-addressed objects over an engine: equal bytes are stored once. Bytes are kept as they are
// or encoded (format/encoded_object.h); an object is named by its raw bytes' digest and read as
// those bytes either way. What takes up to kInlineObjectBytes lies in the ordered keys, the rest
// each in a blob of its own. Thread-safe; two threads that put the same bytes end with one object.
class ObjectStore {
 public:
  static constexpr uint64_t kInlineObjectBytes = 64 * 1024;

  explicit ObjectStore(Engine& engine) : engine_(engine) {}
  ObjectStore(const ObjectStore&) = delete;
  ObjectStore& operator=(const ObjectStore&) = delete;

  struct PutResult {
    Digest digest;
    uint64_t size = 0;
    bool created = false;       // false: the bytes were there already
    uint64_t stored_bytes = 0;  // what they take, where created
  };
  // Stores `bytes`. With `expected`, bytes of another digest are Errc::kCorrupt "digest_mismatch"
  // and nothing stays behind; an expected object that exists is not read or written again.
  Result<PutResult> Put(const ByteSource& bytes, const std::optional<Digest>& expected,
                        const ByteProgress& progress = {});
  Result<PutResult> Put(ConstBytes bytes);

  // How bytes are to be encoded: the numbers they consist of, and the object to take the difference
  // from, which must be there. That object can be read without a third one: of a base that is a
  // difference itself, its own base is taken.
  struct Encoding {
    NumberLayout layout;
    std::optional<Digest> base;
  };
  // As Put with `expected`, encoded where that makes the bytes smaller. An object that exists stays
  // as it is kept.
  Result<PutResult> PutEncoded(const ByteSource& bytes, const Digest& expected,
                               const Encoding& encoding, const ByteProgress& progress = {});

  // Errc::kNotFound "unknown_object".
  Result<std::shared_ptr<const ByteSource>> Open(const Digest& digest) const;
  Result<bool> Has(const Digest& digest) const;
  struct Info {
    uint64_t size = 0;           // of the raw bytes
    uint64_t stored_bytes = 0;   // as they are kept
    std::optional<Digest> base;  // the object that is needed to read this one
  };
  Result<Info> Describe(const Digest& digest) const;
  // The caller knows that no object has this one as its base.
  Result<void> Delete(const Digest& digest);

  Engine& engine() const { return engine_; }

 private:
  struct Stray {
    uint64_t blob;
    Digest digest;
  };
  Result<PutResult> PutInline(ConstBytes bytes, const std::optional<Digest>& expected);
  Result<PutResult> PutBlob(const ByteSource& bytes, const std::optional<Digest>& expected,
                            const ByteProgress& progress);
  Result<PutResult> PutRecord(const Digest& digest, ObjectRecord record);
  Result<std::string> ReadRecord(const Digest& digest) const;
  Result<std::shared_ptr<const ByteSource>> OpenBytes(const Digest& digest,
                                                      const ObjectRecord& record) const;
  Result<std::shared_ptr<const ByteSource>> OpenEncoded(const Digest& digest,
                                                        const ObjectRecord& record,
                                                        bool is_base) const;
  Result<std::shared_ptr<const ByteSource>> OpenAs(const Digest& digest, bool is_base) const;
  void DropStrays();

  static constexpr size_t kCachedBlocks = 64;

  Engine& engine_;
  const std::shared_ptr<BlockCache> blocks_ = std::make_shared<BlockCache>(kCachedBlocks);
  // Sealed blobs whose record could not be written. Whether it is there is known only after the
  // next write that works: until then they stay.
  std::mutex strays_mutex_;
  std::vector<Stray> strays_;
};

// A checkpoint kept in the store, as source of tensors and of files.
class StoredCheckpoint final : public CheckpointSource {
 public:
  // Reads the recipe object and the safetensors headers it names.
  static Result<std::shared_ptr<const StoredCheckpoint>> Open(const ObjectStore& objects,
                                                              const Digest& recipe);

  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  Result<std::shared_ptr<const ByteSource>> Open(size_t index) const override;
  std::optional<Digest> KnownDigest(size_t index) const override { return digests_[index]; }

  const Recipe& recipe() const { return recipe_; }
  // A file, byte for byte as it was uploaded. Errc::kNotFound "unknown_file".
  Result<std::shared_ptr<const ByteSource>> OpenFile(std::string_view path) const;

 private:
  explicit StoredCheckpoint(const ObjectStore& objects) : objects_(objects) {}
  const ObjectStore& objects_;
  Recipe recipe_;
  std::vector<TensorInfo> tensors_;
  std::vector<Digest> digests_;
};

// Stores every header, tensor and file of a parsed checkpoint and its recipe. Idempotent: after a
// crash run it again. `stored_bytes` is what was new, as it is kept.
struct IngestedCheckpoint {
  HashedCheckpoint hashed;
  Digest recipe_digest;
  uint64_t stored_bytes = 0;
};

// A base: as it is, because every job and every read of a fine-tune needs it.
struct IngestedBase : IngestedCheckpoint {
  Digest manifest_digest;  // the base manifest is stored as an object too
};
Result<IngestedBase> IngestBase(ObjectStore& objects, const Checkpoint& checkpoint,
                                const ByteProgress& progress);

// A fine-tune: encoded, each tensor as the difference from the base's tensor of its name, if that
// has its dtype and all its dimensions but the first.
Result<IngestedCheckpoint> IngestFineTune(ObjectStore& objects, const Checkpoint& checkpoint,
                                          const CheckpointSource& base,
                                          const ByteProgress& progress);

}  // namespace signum
