#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "storage/format/delta_file.h"
#include "storage/format/manifest.h"
#include "storage/format/tensor.h"

namespace signum {

struct LowrankSource;

struct CompressOptions {
  // What linear weights get. kSign1: signs, or by itself kSign1Sparse where many differences are
  // exactly 0 and kLowrank where that is smaller than signs and leaves no more error. kLowrank:
  // factors no larger than signs, whatever they leave, but signs where a weight is too small for
  // them. kRaw: exact.
  Codec codec = Codec::kSign1;
  ScaleKind scales = ScaleKind::kRowCol;
  int planes = 1;  // 1 … kMaxPlanes of signs, each of what those before it leave
  // Above 0: each tensor's codec and planes are chosen by squared error per byte, so that the delta
  // file takes at most so many bytes, or at most the fine-tune's over the ratio. Codec and planes
  // above must be left as they are.
  uint64_t budget_bytes = 0;
  double budget_ratio = 0;
  bool exact_embeddings = false;  // `rows` with values instead of signs
  bool allow_not_finite = false;
  // Of a fine-tune that is an adapter on its base (merged_adapter.h): the factors of its weights,
  // which are stored as they are unless codec is kRaw.
  std::shared_ptr<const std::map<std::string, LowrankSource, std::less<>>> factors;
  int threads = 0;  // 0: one per core
  // auto, cpu, cuda:N: what MakeDelta distils on. Signs and scales are made on the CPU in any case;
  // the bytes are the same everywhere.
  std::string device = "auto";
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
  std::vector<ManifestTensor> tensors;      // sorted by name
  uint64_t linear_weights = 0;              // elements under sign1, sign1-sparse or lowrank
  uint64_t linear_bytes = 0;                // what their parts take
  std::map<std::string, uint64_t> choices;  // with a budget: tensors by "codec xPLANES"
  double squared_error = 0;                 // with a budget: Σ (W_fine - W_rebuilt)²
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
// Errors: Errc::kUnusable not_finite, budget_too_small, architecture_mismatch (names the tensor),
// name_collision (a tensor named like a part of another), kInvalid bad_codec, bad_planes,
// bad_budget, bad_device (an option), kExhausted disk_full, kCancelled.
Result<CompressSummary> CompressCheckpoint(const CheckpointSource& base, const Digest& base_digest,
                                           const CheckpointSource& fine, const Recipe& recipe,
                                           const BlobSource& blobs, const CompressOptions& options,
                                           const std::filesystem::path& output,
                                           const CompressCallback& callback);

}  // namespace signum
