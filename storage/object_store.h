#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "storage/base/byte_source.h"
#include "storage/base/digest.h"
#include "storage/engine.h"
#include "storage/format/checkpoint.h"

namespace signum {

struct ObjectRecord;

// Content-addressed objects over an engine: equal bytes are stored once. Objects of up to
// kInlineObjectBytes lie in the ordered keys, bigger ones each in a blob of its own. Thread-safe;
// two threads that put the same bytes end with one object.
//
// An object whose bytes turn out to be wrong, when they are read or by Verify, is quarantined: it
// cannot be opened any more (kCorrupt "object_damaged" names it), and Put stores it anew.
class ObjectStore {
 public:
  static constexpr uint64_t kInlineObjectBytes = 64 * 1024;

  explicit ObjectStore(Engine& engine) : engine_(engine) {}
  ObjectStore(const ObjectStore&) = delete;
  ObjectStore& operator=(const ObjectStore&) = delete;

  struct PutResult {
    Digest digest;
    uint64_t size = 0;
    bool created = false;  // false: the bytes were there already
  };
  // Stores `bytes`. With `expected`, bytes of another digest are Errc::kCorrupt "digest_mismatch"
  // and nothing stays behind; an expected object that exists is not read or written again, and
  // collection takes it for new.
  Result<PutResult> Put(const ByteSource& bytes, const std::optional<Digest>& expected,
                        const ByteProgress& progress = {});
  Result<PutResult> Put(ConstBytes bytes);

  // Errc::kNotFound "unknown_object"; kCorrupt "object_damaged".
  Result<std::shared_ptr<const ByteSource>> Open(const Digest& digest) const;
  Result<bool> Has(const Digest& digest) const;  // false where it is quarantined
  Result<uint64_t> Size(const Digest& digest) const;
  Result<void> Delete(const Digest& digest);

  // As Has; an object that is there is young again for collection. For whoever names an object
  // without putting it.
  Result<bool> Keep(const Digest& digest);
  // Reads all of an object. Where its bytes do not have its digest it is quarantined: kCorrupt
  // "object_damaged". Returns its size.
  Result<uint64_t> Verify(const Digest& digest, const ByteProgress& progress = {}) const;

  // Quarantines an object of which is known by other means that its bytes on the disk are not good
  // any more (they may still be in a cache). Nothing to do where it is gone or quarantined already.
  Result<void> MarkDamaged(const Digest& digest, std::string_view why) const;

  // While the handle lives, nothing that was put or kept since it was taken is collected, however
  // long it takes until a record names it.
  std::shared_ptr<void> HoldCollection();
  std::optional<std::chrono::steady_clock::time_point> OldestHold() const;

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
  Result<bool> Refer(const Digest& digest, uint64_t size, uint64_t blob);
  Result<bool> Install(const Digest& digest, const ObjectRecord& record);
  void DropStrays();
  Result<std::shared_ptr<const ByteSource>> OpenRaw(const Digest& digest) const;
  Result<void> Quarantine(const Digest& digest, const std::string& seen,
                          std::string_view why) const;

  friend class ObjectSource;

  Engine& engine_;
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
// crash run it again. `stored_bytes` counts what was new.
struct IngestedCheckpoint {
  HashedCheckpoint hashed;
  Digest recipe_digest;
  Digest base_manifest_digest;  // the base manifest is stored as an object too
  uint64_t stored_bytes = 0;
};
Result<IngestedCheckpoint> IngestCheckpoint(ObjectStore& objects, const Checkpoint& checkpoint,
                                            const ByteProgress& progress);

}  // namespace signum
