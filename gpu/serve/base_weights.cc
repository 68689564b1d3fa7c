#include "gpu/serve/base_weights.h"

#include "gpu/model/checkpoint_weights.h"
#include "gpu/tensor_class.h"
#include "storage/base/name.h"

namespace signum {
namespace {

std::string LayerName(int64_t layer, std::string_view rest) {
  return "model.layers." + std::to_string(layer) + "." + std::string(rest);
}

Result<void> LoadVector(ops::Backend& backend, const WeightSource& source, const std::string& name,
                        int64_t n, ops::Buffer<float>& to) {
  SIGNUM_ASSIGN(to, MakeBuffer<float>(backend, n));
  return source.Load(name, 0, n, to.data());
}

Result<void> LoadLayer(ops::Backend& backend, const LlamaConfig& config, const WeightSource& source,
                       int64_t l, ModelVectors::Layer& layer) {
  for (size_t i = 0; i < kLinears; ++i) {
    const auto kind = static_cast<LinearKind>(i);
    const std::string name = LinearName(l, kind, ".bias");
    if (!source.Find(name)) continue;
    SIGNUM_TRY(LoadVector(backend, source, name, ShapeOf(config, kind).rows, layer.bias[i]));
  }
  SIGNUM_TRY(LoadVector(backend, source, LayerName(l, "input_layernorm.weight"), config.hidden,
                        layer.input_norm));
  SIGNUM_TRY(LoadVector(backend, source, LayerName(l, "post_attention_layernorm.weight"),
                        config.hidden, layer.middle_norm));
  if (!config.qk_norm) return {};
  SIGNUM_TRY(LoadVector(backend, source, LayerName(l, "self_attn.q_norm.weight"), config.head_dim,
                        layer.q_norm));
  return LoadVector(backend, source, LayerName(l, "self_attn.k_norm.weight"), config.head_dim,
                    layer.k_norm);
}

}  // namespace

Result<ModelVectors> ModelVectors::Load(ops::Backend& backend, const LlamaConfig& config,
                                        const WeightSource& source) {
  ModelVectors out;
  out.layers.resize(static_cast<size_t>(config.layers));
  for (int64_t l = 0; l < config.layers; ++l) {
    SIGNUM_TRY(LoadLayer(backend, config, source, l, out.layers[static_cast<size_t>(l)]));
  }
  SIGNUM_TRY(
      LoadVector(backend, source, std::string(kFinalNormName), config.hidden, out.final_norm));
  return out;
}

uint64_t ModelVectors::device_bytes() const {
  uint64_t bytes = BufferBytes(final_norm);
  for (const Layer& layer : layers) {
    for (const auto& bias : layer.bias) bytes += BufferBytes(bias);
    for (const auto* norm : {&layer.input_norm, &layer.middle_norm, &layer.q_norm, &layer.k_norm}) {
      bytes += BufferBytes(*norm);
    }
  }
  return bytes;
}

Result<std::shared_ptr<const BaseWeights>> BaseWeights::Open(ops::Backend& backend,
                                                             Sources sources) {
  std::shared_ptr<BaseWeights> base(new BaseWeights(backend, std::move(sources)));
  SIGNUM_TRY(base->Load());
  return std::shared_ptr<const BaseWeights>(std::move(base));
}

Result<void> BaseWeights::Load() {
  SIGNUM_ASSIGN(config_, ParseLlamaConfig(sources_.config_json));
  const Compute compute(backend_, 1);
  SIGNUM_TRY(
      ModelWeights::Check(compute, config_, MakeCheckpointWeights(backend_, sources_.checkpoint)));
  matrices_.resize(static_cast<size_t>(config_.layers));
  for (int64_t l = 0; l < config_.layers; ++l) {
    for (size_t i = 0; i < kLinears; ++i) {
      SIGNUM_ASSIGN(matrices_[static_cast<size_t>(l)][i],
                    LoadMatrix(LinearName(l, static_cast<LinearKind>(i))));
    }
  }
  SIGNUM_ASSIGN(embedding_, LoadMatrix(kEmbeddingName));
  if (!config_.tied_embeddings) {
    SIGNUM_ASSIGN(head_, LoadMatrix(kHeadName));
  }
  SIGNUM_ASSIGN(RopeTable rope, RopeTable::Create(backend_, config_, config_.max_positions));
  rope_ = std::make_shared<const RopeTable>(std::move(rope));
  return CheckBackend(backend_);
}

Result<DenseMatrix> BaseWeights::LoadMatrix(std::string_view name) const {
  const CheckpointSource& checkpoint = *sources_.checkpoint;
  const auto at = checkpoint.Find(name);
  const TensorInfo* info = at ? &checkpoint.tensors()[*at] : nullptr;
  if (info == nullptr || !ElementOf(info->dtype) || info->shape.size() != 2) {
    return Fail(Errc::kUnusable, "unknown_architecture",
                "tensor '" + Printable(name) + "' is missing or not a float matrix");
  }
  SIGNUM_ASSIGN(auto bytes, checkpoint.Open(*at));
  DenseMatrix out{*ElementOf(info->dtype),
                  {},
                  static_cast<int64_t>(info->shape[0]),
                  static_cast<int64_t>(info->shape[1])};
  const uint64_t size = bytes->size();
  SIGNUM_ASSIGN(out.bytes, LoadBytes(backend_, std::move(bytes), 0, size));
  return out;
}

}  // namespace signum
