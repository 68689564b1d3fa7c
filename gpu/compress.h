#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "storage/format/delta_file.h"
#include "storage/format/manifest.h"
#include "storage/format/tensor.h"

namespace signum {

struct CompressOptions {
  Codec codec = Codec::kSign1;  // what linear weights get: kSign1 (kSign1Sparse is chosen by itself
                                // where many differences are exactly 0), kRaw for none
  ScaleKind scales = ScaleKind::kRowCol;
  bool exact_embeddings = false;  // `rows` with values instead of signs
  bool allow_not_finite = false;
  int threads = 0;              // 0: one per core
  std::string device = "auto";  // auto, cpu, cuda:N
};

// What a job shows while it runs. Called from the compressing thread about ten times a second;
// returning false stops with Errc::kCancelled.
struct CompressProgress {
  std::string_view tensor;
  uint64_t bytes_done = 0;  // of the fine-tune
  uint64_t bytes_total = 0;
};
using CompressCallback = std::function<bool(const CompressProgress&)>;

struct CompressSummary {
  DeltaWriter::Sealed sealed;
  std::vector<ManifestTensor> tensors;  // sorted by name
  uint64_t linear_weights = 0;          // elements under sign1 or sign1-sparse
  uint64_t linear_bytes = 0;            // what their parts take
};

// Small files and safetensors headers of the fine-tune that the delta carries where the base lacks
// them.
class BlobSource {
 public:
  virtual ~BlobSource() = default;
  virtual bool BaseHas(const Digest& digest) const = 0;
  virtual Result<std::shared_ptr<const ByteSource>> Open(const Digest& digest) const = 0;
};

// Compresses `fine` against `base` into the delta file `output`. Streams: anonymous memory stays
// under a few hundred MB whatever the size of the checkpoint or of one tensor. The same input and
// options give the same bytes on every machine, instruction set and thread count.
//
// Errors: Errc::kUnusable not_finite, architecture_mismatch (names the tensor), name_collision (a
// tensor named like a part of another), kExhausted disk_full, kCancelled.
Result<CompressSummary> CompressCheckpoint(const CheckpointSource& base, const Digest& base_digest,
                                           const CheckpointSource& fine, const Recipe& recipe,
                                           const BlobSource& blobs, const CompressOptions& options,
                                           const std::filesystem::path& output,
                                           const CompressCallback& callback);

}  // namespace signum
