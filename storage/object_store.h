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

namespace signum {

// Content-addressed objects over an engine: equal bytes are stored once. Objects of up to
// kInlineObjectBytes lie in the ordered keys, bigger ones each in a blob of its own. Thread-safe;
// two threads that put the same bytes end with one object.
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
  // and nothing stays behind; an expected object that exists is not read or written again.
  Result<PutResult> Put(const ByteSource& bytes, const std::optional<Digest>& expected,
                        const ByteProgress& progress = {});
  Result<PutResult> Put(ConstBytes bytes);

  // Errc::kNotFound "unknown_object".
  Result<std::shared_ptr<const ByteSource>> Open(const Digest& digest) const;
  Result<bool> Has(const Digest& digest) const;
  Result<uint64_t> Size(const Digest& digest) const;
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
  Result<bool> Refer(const Digest& digest, uint64_t size, uint64_t blob);
  void DropStrays();

  Engine& engine_;
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
