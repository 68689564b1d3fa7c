#pragma once

#include <unordered_map>

#include "gpu/compress.h"
#include "gpu/rebuild.h"
#include "storage/format/checkpoint.h"

namespace signum {

// The pieces of a parsed checkpoint that a delta may have to carry: safetensors headers and small
// files, by digest. For `signum diff` and `apply`, where the base is a folder.
class CheckpointBlobs final : public BaseBlobs {
 public:
  // `recipe` is the checkpoint's own.
  CheckpointBlobs(const Checkpoint& checkpoint, const Recipe& recipe);

  bool Has(const Digest& digest) const { return blobs_.contains(digest); }
  Result<std::shared_ptr<const ByteSource>> OpenBlob(const Digest& digest) const override;

 private:
  std::unordered_map<Digest, std::shared_ptr<const ByteSource>> blobs_;
};

// What CompressCheckpoint asks of a fine-tune and a base that are both parsed. References must
// outlive it.
class CheckpointBlobSource final : public BlobSource {
 public:
  CheckpointBlobSource(const CheckpointBlobs& base, const CheckpointBlobs& fine)
      : base_(base), fine_(fine) {}
  bool BaseHas(const Digest& digest) const override { return base_.Has(digest); }
  Result<std::shared_ptr<const ByteSource>> Open(const Digest& digest) const override {
    return fine_.OpenBlob(digest);
  }

 private:
  const CheckpointBlobs& base_;
  const CheckpointBlobs& fine_;
};

}  // namespace signum
