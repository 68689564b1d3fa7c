#pragma once

#include <memory>
#include <string_view>

#include "storage/format/delta_file.h"
#include "storage/format/tensor.h"

namespace signum {

// Bytes the base has, by digest: tensors of any of its shards, headers, small files.
class BaseBlobs {
 public:
  virtual ~BaseBlobs() = default;
  virtual Result<std::shared_ptr<const ByteSource>> OpenBlob(const Digest& digest) const = 0;
};

// Rebuilds the fine-tune's files from base + delta (fidelity "onebit"):
//   W = round_to_dtype(float32(W_base) + s_row * s_col * (2 * bit - 1))
// in float32, products rounded in the order s = s_row * s_col, then W_base ± s, further planes
// after the first, then to the dtype; rounding to nearest, ties to even. lowrank: FORMAT.md.
class Rebuilder {
 public:
  // Errc::kCorrupt "base_mismatch" where the delta names another base than `base_digest`.
  static Result<std::shared_ptr<const Rebuilder>> Create(
      std::shared_ptr<const CheckpointSource> base, const Digest& base_digest,
      std::shared_ptr<const BaseBlobs> base_blobs, std::shared_ptr<const DeltaReader> delta);
  virtual ~Rebuilder() = default;

  // A file of the checkpoint by its path; random access, computed as it is read, thread-safe. A
  // safetensors file has the header that was uploaded, so its size is the upload's.
  virtual Result<std::shared_ptr<const ByteSource>> OpenFile(std::string_view path) const = 0;
  // One rebuilt tensor's data by name.
  virtual Result<std::shared_ptr<const ByteSource>> OpenTensor(std::string_view name) const = 0;
};

}  // namespace signum
