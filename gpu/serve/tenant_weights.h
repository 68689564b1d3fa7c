#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "gpu/distill/student.h"
#include "gpu/serve/base_weights.h"
#include "storage/format/checkpoint.h"

namespace signum {

// How one weight of a tenant's model comes from the base's, as a product wants it:
//   W = base + Σ planes                                          (codecs same, sign1, sign1-sparse)
//   the same of the rows in sign_rows; value_rows are `values`   (rows)
//   W = base + b · a                                             (lowrank; b is scaled)
// `base` is the base model's weight, or the tenant's own (raw).
struct WeightDelta {
  const DenseMatrix* base = nullptr;
  std::vector<ops::SignPlane> planes;
  std::vector<int32_t> sign_rows, value_rows;  // of codec rows, in the host's memory
  DeviceBytes sign_rows_device, value_rows_device;
  DenseMatrix values;
  DenseMatrix a, b;
  bool listed = false;
  int64_t rows = 0;  // of W: more than the base's where the vocabulary has grown

  const int32_t* sign_rows_at() const { return RowsAt(sign_rows_device); }
  const int32_t* value_rows_at() const { return RowsAt(value_rows_device); }
  bool plain() const { return !listed && a.rows == 0; }  // base and planes alone

 private:
  static const int32_t* RowsAt(const DeviceBytes& bytes) {
    return reinterpret_cast<const int32_t*>(bytes.data);
  }
};

// A tenant's model beside its base, in the memory of the base's backend: what its rows of a batch
// are computed with. Signs are used in place where the delta lies in that memory (`image`, or the
// delta itself where it is the host's). Opened on the backend's thread; then immutable, for any
// backend of the same memory. Holds the delta, until LeaveHost.
class TenantWeights {
 public:
  // The base itself, as a tenant without differences.
  static Result<std::shared_ptr<TenantWeights>> OfBase(std::shared_ptr<const BaseWeights> base);
  // Errc::kCorrupt base_mismatch, bad_part; kUnusable unknown_architecture; kExhausted.
  static Result<std::shared_ptr<TenantWeights>> Open(
      std::shared_ptr<const BaseWeights> base, std::shared_ptr<const DeltaReader> delta,
      std::shared_ptr<const DeviceImage> image = nullptr);

  // Of a device's memory, beside the delta's file.
  uint64_t device_bytes() const;
  // The same before it is opened, by its base as a tenant: what that tells (nothing of another RoPE
  // scaling, and a byte or so for lists that are empty).
  static Result<uint64_t> ExpectedDeviceBytes(const TenantWeights& plain, const DeltaReader& delta);
  // Gives up the delta's file in the host's memory, and what else is read there: a step needs none
  // of it where the backend has memory of its own. File is not to be called any more.
  void LeaveHost();

  const BaseWeights& base() const { return *base_; }
  const LlamaConfig& config() const { return config_; }
  int64_t vocabulary() const { return vocabulary_; }
  const WeightDelta& weight(int64_t layer, LinearKind kind) const {
    return layers_[static_cast<size_t>(layer)][static_cast<size_t>(kind)];
  }
  const WeightDelta& head() const { return head_; }
  // All of them one after another: those of the layers, then the head.
  size_t weights() const { return layers_.size() * kLinears + 1; }
  const WeightDelta& weight(size_t i) const {
    return i + 1 == weights() ? head_ : layers_[i / kLinears][i % kLinears];
  }
  const ModelVectors& vectors() const { return vectors_; }
  const RopeTable& rope() const { return *rope_; }
  // Rows of the embedding, [tokens, hidden], by `backend`, which has the ids in its memory too;
  // they must be in the vocabulary.
  Result<void> Embed(ops::Backend& backend, std::span<const int32_t> tokens,
                     const int32_t* tokens_at, float* out) const;
  // A small file of the model, say tokenizer.model. Errc::kNotFound unknown_file.
  Result<std::string> File(std::string_view path) const;

 private:
  explicit TenantWeights(std::shared_ptr<const BaseWeights> base) : base_(std::move(base)) {}
  Result<void> OpenDelta(std::shared_ptr<const DeltaReader> delta);
  Result<void> OpenEmbedding();
  Result<void> Finish(std::string_view config_json, std::shared_ptr<const WeightSource> source);
  Result<WeightDelta> OpenWeight(std::string_view name, const DenseMatrix& base);
  Result<void> OpenListed(const SignTensor& tensor, WeightDelta& out);
  Result<void> OpenLowrank(std::string_view name, WeightDelta& out);
  Result<DenseMatrix> OwnMatrix(std::string_view name, const TensorInfo& info);

  const WeightDelta& embedding() const { return embedding_ ? *embedding_ : head_; }

  std::shared_ptr<const BaseWeights> base_;
  std::shared_ptr<const DeltaReader> delta_;
  std::shared_ptr<const DeviceImage> image_;
  std::shared_ptr<const Rebuilder> rebuilder_;
  std::shared_ptr<const Checkpoint> fine_;
  std::shared_ptr<Student> student_;  // null: the base itself
  std::shared_ptr<const WeightSource> source_;
  LlamaConfig config_;
  int64_t vocabulary_ = 0;
  std::vector<std::array<WeightDelta, kLinears>> layers_;
  WeightDelta head_;
  std::optional<WeightDelta> embedding_;                 // where it is not the head's
  std::vector<std::unique_ptr<const DenseMatrix>> own_;  // weights that codec raw holds
  ModelVectors vectors_;
  std::shared_ptr<const RopeTable> rope_;
};

}  // namespace signum
