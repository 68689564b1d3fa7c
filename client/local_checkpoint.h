#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include "gpu/checkpoint_blobs.h"
#include "gpu/distill/make_delta.h"
#include "gpu/merged_adapter.h"
#include "gpu/rebuild.h"
#include "storage/base/result.h"
#include "storage/format/checkpoint.h"

namespace signum::client {

// A checkpoint directory opened, parsed and hashed: what the offline commands work on. Thread-safe.
class LocalCheckpoint {
 public:
  // `progress` gets the bytes hashed and the bytes there are.
  using HashProgress = std::function<void(uint64_t, uint64_t)>;
  static Result<std::shared_ptr<const LocalCheckpoint>> Open(const std::filesystem::path& directory,
                                                             const HashProgress& progress);

  // A fine-tune of `base`: the same, or a PEFT LoRA adapter, which is put on the base.
  static Result<std::shared_ptr<const LocalCheckpoint>> OpenFineTune(
      const std::filesystem::path& directory, const LocalCheckpoint& base,
      const HashProgress& progress);

  // Bytes of the files in the directory; checkpoint() may be larger where they are an adapter.
  uint64_t directory_bytes() const { return directory_bytes_; }
  const std::shared_ptr<const AdapterFactors>& factors() const { return factors_; }
  const std::shared_ptr<const Checkpoint>& checkpoint() const { return checkpoint_; }
  const std::shared_ptr<const CheckpointBlobs>& blobs() const { return blobs_; }
  const Recipe& recipe() const { return hashed_.recipe; }
  Digest base_digest() const { return hashed_.BaseDigest(); }

 private:
  Result<void> Hash(const HashProgress& progress);

  uint64_t directory_bytes_ = 0;
  std::shared_ptr<const AdapterFactors> factors_;  // of an adapter, else null
  std::shared_ptr<const Checkpoint> checkpoint_;
  HashedCheckpoint hashed_;
  std::shared_ptr<const CheckpointBlobs> blobs_;
};

// What compression, distillation and evaluation work on. Refers to both.
DeltaModels ModelsOf(const LocalCheckpoint& base, const LocalCheckpoint& fine);

// Makes FINE's delta against BASE as the registry does, offline.
Result<MadeDelta> DiffCheckpoints(const LocalCheckpoint& base, const LocalCheckpoint& fine,
                                  const MakeDeltaOptions& options,
                                  const std::filesystem::path& output,
                                  const MakeDeltaCallback& callback);

// Rebuilds every file of the fine-tune from base and delta into `output` (created where absent),
// each under a temporary name until it is complete. `progress` counts bytes of all files.
Result<void> ApplyDelta(const LocalCheckpoint& base,
                        const std::shared_ptr<const DeltaReader>& delta,
                        const std::filesystem::path& output, const ByteProgress& progress);

// The delta file at `path`, mapped and parsed. What does not parse is Errc::kCorrupt.
Result<std::shared_ptr<const DeltaReader>> OpenDeltaFile(const std::filesystem::path& path);

}  // namespace signum::client
