#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "storage/base/byte_source.h"
#include "storage/base/clock.h"
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
//
// An object whose bytes turn out to be wrong, when they are read or by Verify, is quarantined: it
// cannot be opened any more (kCorrupt "object_damaged" names it), nor can those that are
// differences from it, and Put stores it anew.
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
  // and nothing stays behind; an expected object that exists is not read or written again, and
  // collection takes it for new.
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
  // as it is kept; one that is stored anew after it was damaged is not encoded, because others may
  // be differences from it.
  Result<PutResult> PutEncoded(const ByteSource& bytes, const Digest& expected,
                               const Encoding& encoding, const ByteProgress& progress = {});

  // Errc::kNotFound "unknown_object"; kCorrupt "object_damaged": it, or what it is a difference
  // from.
  Result<std::shared_ptr<const ByteSource>> Open(const Digest& digest) const;
  Result<bool> Has(const Digest& digest) const;  // false where it is quarantined
  struct Info {
    uint64_t size = 0;           // of the raw bytes
    uint64_t stored_bytes = 0;   // as they are kept
    std::optional<Digest> base;  // the object that is needed to read this one
    bool damaged = false;        // it is quarantined
    UnixMicros created = 0;      // when its bytes were stored
  };
  Result<Info> Describe(const Digest& digest) const;
  // The caller knows that no object has this one as its base.
  Result<void> Delete(const Digest& digest);

  // Whether an object is there and can be read as far as records tell; one that is, and what it is
  // a difference from, is young again for collection. For whoever names an object without putting
  // it.
  Result<bool> Keep(const Digest& digest);

  // Reads all of an object. Where its bytes do not have its digest it is quarantined, or what it is
  // a difference from, if that is to blame: kCorrupt "object_damaged". Returns its size.
  Result<uint64_t> Verify(const Digest& digest, const ByteProgress& progress = {}) const;

  // Quarantines an object of which is known by other means that its bytes on the disk are not good
  // any more (they may still be in a cache). Nothing to do where it is gone or quarantined already.
  Result<void> MarkDamaged(const Digest& digest, std::string_view why) const;

  // While the handle lives, nothing that was put or kept since it was taken is collected, however
  // long it takes until a record names it.
  std::shared_ptr<void> HoldCollection();
  std::optional<std::chrono::steady_clock::time_point> OldestHold() const;
  // Runs `write` while no hold is taken. What it marks with the time is then younger than a hold,
  // or was there when the hold was taken, and whoever puts or keeps an object after that sees it.
  Result<void> BetweenHolds(const std::function<Result<void>()>& write);

  // Quarantined objects; what was there when the process began is told by whoever scans the store.
  uint64_t damaged() const { return damaged_; }
  void CountDamaged(uint64_t found) { damaged_ = found; }
  void ForgetDamaged() { --damaged_; }  // one was deleted

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
  Result<bool> Install(const Digest& digest, const ObjectRecord& record);
  Result<bool> IsSound(const ObjectRecord& record) const;
  Result<std::optional<Info>> KeepOne(const Digest& digest);
  Result<std::string> ReadRecord(const Digest& digest) const;
  Result<std::shared_ptr<const ByteSource>> OpenBytes(const Digest& digest,
                                                      const ObjectRecord& record) const;
  Result<std::shared_ptr<const ByteSource>> OpenEncoded(const Digest& digest,
                                                        const ObjectRecord& record,
                                                        const std::shared_ptr<BlockCache>& cache,
                                                        bool is_base) const;
  // As its record says; damage that it meets is only told. `cache` may be null.
  Result<std::shared_ptr<const ByteSource>> OpenStored(const Digest& digest,
                                                       const std::shared_ptr<BlockCache>& cache,
                                                       bool is_base = false) const;
  Result<Digest> HashStored(const Digest& digest, const ByteProgress& progress) const;
  Result<std::optional<std::string>> RecordOfBase(const ObjectRecord& record) const;
  Result<void> VerifyBase(const Digest& base, const Digest& of) const;
  Result<void> Quarantine(const Digest& digest, const std::string& seen,
                          std::string_view why) const;
  void DropStrays();

  friend class ObjectSource;

  static constexpr size_t kCachedBlocks = 64;

  Engine& engine_;
  const std::shared_ptr<BlockCache> blocks_ = std::make_shared<BlockCache>(kCachedBlocks);
  mutable std::atomic<uint64_t> damaged_ = 0;
  mutable std::mutex holds_mutex_;
  std::multiset<std::chrono::steady_clock::time_point> holds_;
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
