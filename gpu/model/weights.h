#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gpu/model/config.h"
#include "gpu/model/parallel.h"
#include "storage/format/tensor.h"

namespace signum {

// The linear layers of one transformer layer, in the order they are computed.
enum class LinearKind : uint8_t { kQ, kK, kV, kO, kGate, kUp, kDown };
inline constexpr size_t kLinears = 7;

// "model.layers.3.self_attn.q_proj" + suffix.
std::string LinearName(int64_t layer, LinearKind kind, std::string_view suffix = ".weight");
struct LinearShape {
  int64_t rows, columns;
};
LinearShape ShapeOf(const LlamaConfig& config, LinearKind kind);

inline constexpr std::string_view kEmbeddingName = "model.embed_tokens.weight";
inline constexpr std::string_view kHeadName = "lm_head.weight";
inline constexpr std::string_view kFinalNormName = "model.norm.weight";

// The tensors of one model as float32, wherever they come from. Thread-safe.
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  // Shape of a tensor; nothing where there is none of the name. 1-D: {n, 1}.
  virtual std::optional<LinearShape> Find(std::string_view name) const = 0;
  // Rows [first, first + count) into the backend's memory.
  virtual Result<void> Load(std::string_view name, int64_t first, int64_t count,
                            float* out) const = 0;
  // The listed rows, from anywhere.
  virtual Result<void> Gather(std::string_view name, const std::vector<int32_t>& rows,
                              float* out) const = 0;
};

// One transformer layer in the backend's memory. Biases and head norms are null where the model has
// none.
struct LayerWeights {
  std::array<const float*, kLinears> matrix{};
  std::array<const float*, kLinears> bias{};
  const float* input_norm = nullptr;
  const float* middle_norm = nullptr;
  const float* q_norm = nullptr;
  const float* k_norm = nullptr;
};

// A model's weights for a forward pass: all layers at once where `resident`, else one at a time
// into the same memory. Not thread-safe.
class ModelWeights {
 public:
  // Checks that every tensor is there with the shape the config asks for. Errc::kUnusable
  // unknown_architecture naming the tensor.
  static Result<std::unique_ptr<ModelWeights>> Create(const Compute& compute,
                                                      const LlamaConfig& config,
                                                      std::shared_ptr<const WeightSource> source,
                                                      bool resident);

  // The same check without anything loaded.
  static Result<void> Check(const Compute& compute, const LlamaConfig& config,
                            std::shared_ptr<const WeightSource> source);

  // Valid until the next call where not resident.
  Result<const LayerWeights*> Layer(int64_t layer);
  Result<const float*> Head();  // [vocabulary, hidden]
  const float* final_norm() const { return final_norm_.data(); }
  int64_t vocabulary() const { return vocabulary_; }
  const WeightSource& source() const { return *source_; }
  const std::string& head_name() const { return head_name_; }
  // The matrices have changed at the source: they are loaded again when next asked for.
  void Refresh();

 private:
  struct Slot {
    std::array<ops::Buffer<float>, kLinears> matrix, bias;
    ops::Buffer<float> input_norm, middle_norm, q_norm, k_norm;
    LayerWeights view;
    int64_t loaded = -1;  // whose small tensors it holds
    bool fresh = false;
  };

  ModelWeights(const Compute& compute, const LlamaConfig& config,
               std::shared_ptr<const WeightSource> source)
      : compute_(compute), config_(config), source_(std::move(source)) {}
  Result<void> CheckTensors();
  Result<void> CheckLayer(int64_t layer);
  Result<void> Expect(std::string_view name, LinearShape shape) const;
  Result<void> Allocate(Slot& slot);
  Result<void> LoadVectors(int64_t layer, Slot& slot);
  Result<void> LoadMatrices(int64_t layer, Slot& slot);
  Result<void> LoadVector(const std::string& name, int64_t n, ops::Buffer<float>& to);

  const Compute compute_;
  const LlamaConfig config_;
  const std::shared_ptr<const WeightSource> source_;
  std::string head_name_;
  int64_t vocabulary_ = 0;
  std::vector<Slot> slots_;
  ops::Buffer<float> head_, final_norm_;
  bool head_fresh_ = false;
};

// Bytes of the matrices of a model in float32, head included.
uint64_t ResidentBytes(const LlamaConfig& config, int64_t vocabulary);

}  // namespace signum
