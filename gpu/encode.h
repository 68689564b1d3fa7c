#pragma once

#include <algorithm>
#include <filesystem>
#include <functional>
#include <type_traits>
#include <vector>

#include "gpu/in_order.h"
#include "gpu/job_progress.h"
#include "gpu/plane_scale.h"
#include "gpu/row_pairs.h"
#include "gpu/survey.h"

// The codecs' encoders: one tensor of the fine-tune into parts of the delta file.

namespace signum {

// What all of one compression share.
struct EncodeContext {
  DeltaWriter& writer;
  const CompressOptions& options;
  JobProgress& progress;
  int planes = 1;               // of signs, for linear weights and embeddings
  std::filesystem::path trial;  // where codecs may be tried out (a DeltaWriter's path)
};

// A tensor of the fine-tune and, for the codecs that need it, what it has in common with the
// base's.
struct EncodeInput {
  TensorInfo info;
  std::shared_ptr<const ByteSource> fine;
};

// The codec that was used and what its parts take in the file.
struct Encoded {
  Codec codec = Codec::kRaw;
  uint64_t bytes = 0;
};

// Compares byte for byte, `bytes` long each.
Result<bool> SameBytes(const ByteSource& a, const ByteSource& b);

// The tensor as it is. Errc::kUnusable not_finite unless options.allow_not_finite.
Result<Encoded> EncodeRaw(const EncodeContext& context, const EncodeInput& input);
// sign1, or sign1-sparse where `sparse`, of context.planes planes.
Result<Encoded> EncodeLinear(const EncodeContext& context, const EncodeInput& input,
                             const RowPairs& pairs, const Survey& survey, bool sparse);
// The least-squares scales of one plane, found by writing its signs (and mask) to context.writer.
Result<PlaneScales> FitLinear(const EncodeContext& context, const EncodeInput& input,
                              const RowPairs& pairs, const Survey& survey, bool sparse);
// Σ (W_fine - W_rebuilt)² that EncodeLinear leaves with 1 … kMaxPlanes planes, without encoding
// them.
Result<std::vector<double>> SignErrors(const EncodeContext& context, const EncodeInput& input,
                                       const RowPairs& pairs, const Survey& survey, bool sparse);
// What EncodeLinear has written, of the first `planes` planes only, as it will be rebuilt in
// info.dtype; valid as long as the writer.
Result<std::shared_ptr<const ByteSource>> OpenWritten(const EncodeContext& context,
                                                      const TensorInfo& info, const RowPairs& pairs,
                                                      bool sparse, int planes);
// Whether half of the differences or more are exactly 0, where sign1-sparse is chosen: from there
// on, its mask buys more than the same bits would as a second plane of signs (KERNELS.md, "When a
// weight is sparse").
bool IsSparse(const Survey& survey, uint64_t elements);
// The codec that options.codec stands for: signs, sparse ones, or lowrank where that is smaller and
// leaves no more error.
Result<Encoded> EncodeBestLinear(const EncodeContext& context, const EncodeInput& input,
                                 const RowPairs& pairs, const Survey& survey);
// Σ Δ² over the rows of pairs.
Result<double> SumOfSquares(const EncodeContext& context, const RowPairs& pairs);
// Σ (W_fine - W_rebuilt)² over the rows of pairs; rebuilt in the fine-tune's dtype.
Result<double> SquaredError(const EncodeContext& context, const RowPairs& pairs,
                            std::shared_ptr<const ByteSource> rebuilt);

// rows; pairs are the rows that the base has. At least one row must have changed or be new.
Result<Encoded> EncodeRows(const EncodeContext& context, const EncodeInput& input,
                           const RowPairs& pairs, const Survey& survey);

// Each changed row's mean |Δ|, and a sample of them.
struct RowScales {
  std::vector<float> scales;
  PlaneSample sample;
};
Result<RowScales> FitRows(const EncodeContext& context, const RowPairs& pairs,
                          const Survey& survey);
// Σ (W_fine - W_rebuilt)² that EncodeRows leaves with signs of 1 … kMaxPlanes planes.
Result<std::vector<double>> RowErrors(const EncodeContext& context, const RowPairs& pairs,
                                      const Survey& survey);

// Writes parts and counts their bytes.
class PartWriter {
 public:
  explicit PartWriter(DeltaWriter& writer) : writer_(writer) {}

  Result<void> Begin(std::string name, Dtype dtype, std::vector<uint64_t> shape) {
    TensorInfo info{std::move(name), dtype, std::move(shape)};
    bytes_ += info.bytes();
    return writer_.Begin(std::move(info));
  }
  template <class T>
  Result<void> Append(const std::vector<T>& values) {
    return writer_.Append(std::as_bytes(std::span<const T>(values)));
  }
  Result<void> Append(ConstBytes bytes) { return writer_.Append(bytes); }
  // A whole vector as a part.
  template <class T>
  Result<void> Add(std::string name, Dtype dtype, const std::vector<T>& values) {
    SIGNUM_TRY(Begin(std::move(name), dtype, {values.size()}));
    return Append(values);
  }
  // Bytes [offset, end) of a source, a piece at a time.
  Result<void> Copy(const ByteSource& source, uint64_t offset, JobProgress& progress);

  uint64_t bytes() const { return bytes_; }

 private:
  DeltaWriter& writer_;
  uint64_t bytes_ = 0;
};

// One pass over the row blocks: compute(block, slot) on several threads, one Slot a thread, then
// commit(block, slot) in the order of the blocks. compute returns nothing or a Result<void>.
template <class Slot, class Compute, class Commit>
Result<void> ForRowBlocks(const EncodeContext& context, const RowPairs& pairs, Compute compute,
                          Commit commit) {
  struct Worker {
    RowPairs::Buffers buffers;
    RowBlock block;
    Slot slot;
  };
  std::vector<Worker> workers(pairs.Threads(context.options.threads));
  InOrderWork work;
  work.pieces = pairs.blocks();
  work.compute = [&](size_t index, uint64_t piece) -> Result<void> {
    Worker& worker = workers[index];
    SIGNUM_ASSIGN(worker.block, pairs.Read(piece, worker.buffers));
    if constexpr (std::is_void_v<decltype(compute(worker.block, worker.slot))>) {
      compute(worker.block, worker.slot);
      return {};
    } else {
      return compute(worker.block, worker.slot);
    }
  };
  work.commit = [&](size_t index, uint64_t) -> Result<void> {
    Worker& worker = workers[index];
    context.progress.Add(worker.block.FineBytes());
    return commit(worker.block, worker.slot);
  };
  work.tick = [&] { return context.progress.Tick(); };
  return RunInOrder(work, static_cast<int>(workers.size()));
}

}  // namespace signum
