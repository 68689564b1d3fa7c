#include "gpu/model/weights.h"

#include "storage/base/name.h"

namespace signum {
namespace {

constexpr std::array<std::string_view, kLinears> kLinearNames = {
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
    "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj"};

constexpr std::array<LinearKind, kLinears> kKinds = {
    LinearKind::kQ,    LinearKind::kK,  LinearKind::kV,   LinearKind::kO,
    LinearKind::kGate, LinearKind::kUp, LinearKind::kDown};

std::string LayerTensor(int64_t layer, std::string_view rest) {
  return "model.layers." + std::to_string(layer) + "." + std::string(rest);
}

}  // namespace

std::string LinearName(int64_t layer, LinearKind kind, std::string_view suffix) {
  return LayerTensor(layer, kLinearNames[static_cast<size_t>(kind)]) + std::string(suffix);
}

LinearShape ShapeOf(const LlamaConfig& config, LinearKind kind) {
  switch (kind) {
    case LinearKind::kQ:
      return {config.q_size(), config.hidden};
    case LinearKind::kK:
    case LinearKind::kV:
      return {config.kv_size(), config.hidden};
    case LinearKind::kO:
      return {config.hidden, config.q_size()};
    case LinearKind::kGate:
    case LinearKind::kUp:
      return {config.intermediate, config.hidden};
    case LinearKind::kDown:
      return {config.hidden, config.intermediate};
  }
  return {0, 0};
}

uint64_t ResidentBytes(const LlamaConfig& config, int64_t vocabulary) {
  uint64_t elements = 0;
  for (const LinearKind kind : kKinds) {
    const LinearShape shape = ShapeOf(config, kind);
    elements += static_cast<uint64_t>(shape.rows * shape.columns);
  }
  elements *= static_cast<uint64_t>(config.layers);
  elements += static_cast<uint64_t>(vocabulary * config.hidden);
  return elements * sizeof(float);
}

Result<std::unique_ptr<ModelWeights>> ModelWeights::Create(
    const Compute& compute, const LlamaConfig& config, std::shared_ptr<const WeightSource> source,
    bool resident) {
  std::unique_ptr<ModelWeights> out(new ModelWeights(compute, config, std::move(source)));
  SIGNUM_TRY(out->CheckTensors());
  out->slots_.resize(static_cast<size_t>(resident ? config.layers : 1));
  SIGNUM_ASSIGN(out->final_norm_, MakeBuffer<float>(compute.backend, config.hidden));
  SIGNUM_TRY(out->source_->Load(kFinalNormName, 0, config.hidden, out->final_norm_.data()));
  return out;
}

Result<void> ModelWeights::Check(const Compute& compute, const LlamaConfig& config,
                                 std::shared_ptr<const WeightSource> source) {
  return ModelWeights(compute, config, std::move(source)).CheckTensors();
}

Result<void> ModelWeights::Expect(std::string_view name, LinearShape shape) const {
  const auto found = source_->Find(name);
  if (found && found->rows == shape.rows && found->columns == shape.columns) return {};
  return Fail(
      Errc::kUnusable, "unknown_architecture",
      "tensor '" + Printable(name) + "' is " +
          (found ? "[" + std::to_string(found->rows) + ", " + std::to_string(found->columns) + "]"
                 : "missing") +
          ", config.json makes it [" + std::to_string(shape.rows) + ", " +
          std::to_string(shape.columns) + "]");
}

Result<void> ModelWeights::CheckLayer(int64_t layer) {
  for (const LinearKind kind : kKinds) {
    const LinearShape shape = ShapeOf(config_, kind);
    SIGNUM_TRY(Expect(LinearName(layer, kind), shape));
    const std::string bias = LinearName(layer, kind, ".bias");
    if (source_->Find(bias)) SIGNUM_TRY(Expect(bias, {shape.rows, 1}));
  }
  SIGNUM_TRY(Expect(LayerTensor(layer, "input_layernorm.weight"), {config_.hidden, 1}));
  SIGNUM_TRY(Expect(LayerTensor(layer, "post_attention_layernorm.weight"), {config_.hidden, 1}));
  if (!config_.qk_norm) return {};
  SIGNUM_TRY(Expect(LayerTensor(layer, "self_attn.q_norm.weight"), {config_.head_dim, 1}));
  return Expect(LayerTensor(layer, "self_attn.k_norm.weight"), {config_.head_dim, 1});
}

Result<void> ModelWeights::CheckTensors() {
  const auto embedding = source_->Find(kEmbeddingName);
  vocabulary_ = embedding ? embedding->rows : 0;
  SIGNUM_TRY(Expect(kEmbeddingName, {std::max<int64_t>(vocabulary_, 1), config_.hidden}));
  const bool own_head = !config_.tied_embeddings && source_->Find(kHeadName).has_value();
  if (!own_head && !config_.tied_embeddings) {
    SIGNUM_TRY(Expect(kHeadName, {vocabulary_, config_.hidden}));
  }
  head_name_ = own_head ? kHeadName : kEmbeddingName;
  SIGNUM_TRY(Expect(head_name_, {vocabulary_, config_.hidden}));
  SIGNUM_TRY(Expect(kFinalNormName, {config_.hidden, 1}));
  for (int64_t layer = 0; layer < config_.layers; ++layer) SIGNUM_TRY(CheckLayer(layer));
  return {};
}

Result<void> ModelWeights::Allocate(Slot& slot) {
  for (const LinearKind kind : kKinds) {
    const auto at = static_cast<size_t>(kind);
    const LinearShape shape = ShapeOf(config_, kind);
    SIGNUM_ASSIGN(slot.matrix[at], MakeBuffer<float>(compute_.backend, shape.rows * shape.columns));
    slot.view.matrix[at] = slot.matrix[at].data();
  }
  return {};
}

Result<void> ModelWeights::LoadVector(const std::string& name, int64_t n, ops::Buffer<float>& to) {
  if (!to) {
    SIGNUM_ASSIGN(to, MakeBuffer<float>(compute_.backend, n));
  }
  return source_->Load(name, 0, n, to.data());
}

Result<void> ModelWeights::LoadVectors(int64_t layer, Slot& slot) {
  for (const LinearKind kind : kKinds) {
    const auto at = static_cast<size_t>(kind);
    const std::string bias = LinearName(layer, kind, ".bias");
    slot.view.bias[at] = nullptr;
    if (!source_->Find(bias)) continue;
    SIGNUM_TRY(LoadVector(bias, ShapeOf(config_, kind).rows, slot.bias[at]));
    slot.view.bias[at] = slot.bias[at].data();
  }
  const auto norm = [&](std::string_view name, int64_t n, ops::Buffer<float>& to,
                        const float*& view) -> Result<void> {
    SIGNUM_TRY(LoadVector(LayerTensor(layer, name), n, to));
    view = to.data();
    return {};
  };
  SIGNUM_TRY(norm("input_layernorm.weight", config_.hidden, slot.input_norm, slot.view.input_norm));
  SIGNUM_TRY(norm("post_attention_layernorm.weight", config_.hidden, slot.middle_norm,
                  slot.view.middle_norm));
  if (!config_.qk_norm) return {};
  SIGNUM_TRY(norm("self_attn.q_norm.weight", config_.head_dim, slot.q_norm, slot.view.q_norm));
  return norm("self_attn.k_norm.weight", config_.head_dim, slot.k_norm, slot.view.k_norm);
}

Result<void> ModelWeights::LoadMatrices(int64_t layer, Slot& slot) {
  return ParallelFor(compute_, kLinears, [&](size_t, int64_t piece) {
    const LinearKind kind = kKinds[static_cast<size_t>(piece)];
    return source_->Load(LinearName(layer, kind), 0, ShapeOf(config_, kind).rows,
                         slot.matrix[static_cast<size_t>(piece)].data());
  });
}

Result<const LayerWeights*> ModelWeights::Layer(int64_t layer) {
  Slot& slot = slots_[slots_.size() == 1 ? 0 : static_cast<size_t>(layer)];
  if (!slot.matrix[0]) SIGNUM_TRY(Allocate(slot));
  const bool same = slot.loaded == layer;
  if (!same) SIGNUM_TRY(LoadVectors(layer, slot));
  if (!same || !slot.fresh) SIGNUM_TRY(LoadMatrices(layer, slot));
  slot.loaded = layer;
  slot.fresh = true;
  return &slot.view;
}

Result<const float*> ModelWeights::Head() {
  if (!head_) {
    SIGNUM_ASSIGN(head_, MakeBuffer<float>(compute_.backend, vocabulary_ * config_.hidden));
  }
  if (!head_fresh_) {
    const Pieces blocks(compute_, {0, vocabulary_, 1}, 1024);
    SIGNUM_TRY(ParallelFor(compute_, blocks.count(), [&](size_t, int64_t piece) {
      const Sequences rows = blocks[piece];
      return source_->Load(head_name_, rows.first, rows.count,
                           head_.data() + rows.first * config_.hidden);
    }));
    head_fresh_ = true;
  }
  return head_.data();
}

void ModelWeights::Refresh() {
  for (Slot& slot : slots_) slot.fresh = false;
  head_fresh_ = false;
}

}  // namespace signum
