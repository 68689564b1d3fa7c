#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gpu/model/layer.h"
#include "gpu/model/tensor_bytes.h"
#include "gpu/rebuild.h"

namespace signum {

// A weight as a checkpoint has it, where a backend can read it.
struct DenseMatrix {
  kernels::Element type = kernels::Element::kF32;
  DeviceBytes bytes;
  int64_t rows = 0, columns = 0;
};

// The small tensors of a model in float32: norms, and biases where there are any.
struct ModelVectors {
  struct Layer {
    std::array<ops::Buffer<float>, kLinears> bias;
    ops::Buffer<float> input_norm, middle_norm, q_norm, k_norm;
  };
  std::vector<Layer> layers;
  ops::Buffer<float> final_norm;

  static Result<ModelVectors> Load(ops::Backend& backend, const LlamaConfig& config,
                                   const WeightSource& source);
  uint64_t device_bytes() const;
};

// A base model on a backend, once for all tenants: its matrices in their own dtype (in place where
// the checkpoint is mapped and the backend's memory is the host's). Immutable.
class BaseWeights {
 public:
  struct Sources {
    std::shared_ptr<const CheckpointSource> checkpoint;
    std::string config_json;
    Digest digest;
    std::shared_ptr<const BaseBlobs> blobs;
    // A small file of the checkpoint by its path; Errc::kNotFound unknown_file.
    std::function<Result<std::string>(std::string_view path)> file;
  };
  // Errc::kUnusable unknown_architecture or bad_config, kExhausted device_memory. `backend`
  // outlives it.
  static Result<std::shared_ptr<const BaseWeights>> Open(ops::Backend& backend, Sources sources);

  ops::Backend& backend() const { return backend_; }
  const Sources& sources() const { return sources_; }
  const LlamaConfig& config() const { return config_; }
  const DenseMatrix& matrix(int64_t layer, LinearKind kind) const {
    return matrices_[static_cast<size_t>(layer)][static_cast<size_t>(kind)];
  }
  const DenseMatrix& embedding() const { return embedding_; }
  const DenseMatrix& head() const { return head_.rows == 0 ? embedding_ : head_; }
  bool has_head() const { return head_.rows != 0; }
  const std::shared_ptr<const RopeTable>& rope() const { return rope_; }

 private:
  BaseWeights(ops::Backend& backend, Sources sources)
      : backend_(backend), sources_(std::move(sources)) {}
  Result<void> Load();
  Result<DenseMatrix> LoadMatrix(std::string_view name) const;

  ops::Backend& backend_;
  const Sources sources_;
  LlamaConfig config_;
  std::vector<std::array<DenseMatrix, kLinears>> matrices_;
  DenseMatrix embedding_, head_;
  std::shared_ptr<const RopeTable> rope_;
};

}  // namespace signum
