#include "gpu/serve/engine.h"

namespace signum {

using ops::Buffer;

ServeEngine::ServeEngine(std::shared_ptr<const BaseWeights> base, ops::ServeOps& serve,
                         const ServeEngineOptions& options)
    : base_(std::move(base)),
      backend_(base_->backend()),
      serve_(serve),
      options_(options),
      config_(base_->config()),
      linear_(backend_, serve_) {}

Result<std::unique_ptr<ServeEngine>> ServeEngine::Create(std::shared_ptr<const BaseWeights> base,
                                                         const ServeEngineOptions& options) {
  ops::ServeOps* serve = ops::ServeOpsOf(base->backend());
  if (serve == nullptr) {
    return Fail(Errc::kUnavailable, "unsupported_device",
                base->backend().name() + " cannot serve: its module has no ops for it");
  }
  std::unique_ptr<ServeEngine> engine(new ServeEngine(std::move(base), *serve, options));
  SIGNUM_TRY(engine->Allocate());
  return engine;
}

uint64_t ServeEngine::CacheBytesPerToken(const LlamaConfig& config) {
  return static_cast<uint64_t>(2 * config.layers * config.kv_size()) * sizeof(float);
}

Result<void> ServeEngine::Allocate() {
  const int64_t rows = options_.step_rows;
  SIGNUM_ASSIGN(acts_, LayerActivations::Create(backend_, config_, rows));
  SIGNUM_ASSIGN(x_, MakeBuffer<float>(backend_, rows * config_.hidden));
  SIGNUM_ASSIGN(last_, MakeBuffer<float>(backend_, rows * config_.hidden));
  caches_.resize(static_cast<size_t>(config_.layers));
  const int64_t slots = options_.blocks * options_.block_tokens;
  for (LayerCache& cache : caches_) {
    SIGNUM_ASSIGN(cache.k, MakeBuffer<float>(backend_, slots * config_.kv_size()));
    SIGNUM_ASSIGN(cache.v, MakeBuffer<float>(backend_, slots * config_.kv_size()));
  }
  return {};
}

// ---- laying out a step

ServeEngine::Batch ServeEngine::Lay(std::span<const SequenceStep> steps) const {
  Batch batch;
  for (const SequenceStep& step : steps) {
    batch.table_stride = std::max(batch.table_stride, static_cast<int64_t>(step.blocks.size()));
  }
  for (size_t s = 0; s < steps.size(); ++s) {
    const SequenceStep& step = steps[s];
    const auto count = static_cast<int64_t>(step.tokens.size());
    const bool same = !batch.runs.empty() && batch.runs.back().weights == step.weights;
    if (!same) {
      batch.runs.push_back({batch.rows, 0, step.weights});
      batch.wanted_runs.push_back({static_cast<int64_t>(batch.wanted.size()), 0, step.weights});
    }
    batch.runs.back().count += count;
    batch.wanted_runs.back().count += count - step.logits_from;
    batch.tables.insert(batch.tables.end(), step.blocks.begin(), step.blocks.end());
    batch.tables.resize((s + 1) * static_cast<size_t>(batch.table_stride));
    for (int64_t i = 0; i < count; ++i) {
      const int64_t position = step.position + i;
      const int32_t block = step.blocks[static_cast<size_t>(position / options_.block_tokens)];
      batch.positions.push_back(static_cast<int32_t>(position));
      batch.lengths.push_back(static_cast<int32_t>(position + 1));
      batch.row_tables.push_back(static_cast<int32_t>(s));
      batch.slots.push_back(
          static_cast<int32_t>(block * options_.block_tokens + position % options_.block_tokens));
      if (i >= step.logits_from) batch.wanted.push_back(static_cast<int32_t>(batch.rows + i));
    }
    batch.rows += count;
  }
  return batch;
}

template <class T>
Result<void> ServeEngine::Put(const std::vector<T>& values, Buffer<T>& to) {
  if (to.size() < values.size()) {
    SIGNUM_ASSIGN(to, MakeBuffer<T>(backend_, static_cast<int64_t>(values.size()) * 2));
  }
  backend_.Upload(values.data(), to.data(), values.size() * sizeof(T));
  return {};
}

Result<void> ServeEngine::Upload(const Batch& batch) {
  SIGNUM_TRY(Put(batch.positions, device_.positions));
  SIGNUM_TRY(Put(batch.lengths, device_.lengths));
  SIGNUM_TRY(Put(batch.row_tables, device_.row_tables));
  SIGNUM_TRY(Put(batch.slots, device_.slots));
  SIGNUM_TRY(Put(batch.tables, device_.tables));
  return Put(batch.wanted, device_.wanted);
}

Result<void> ServeEngine::Embed(std::span<const SequenceStep> steps) {
  float* to = x_.data();
  for (const SequenceStep& step : steps) {
    SIGNUM_TRY(step.weights->Embed({step.tokens.begin(), step.tokens.end()}, to));
    to += static_cast<int64_t>(step.tokens.size()) * config_.hidden;
  }
  return {};
}

// ---- layers

Result<void> ServeEngine::Project(const Batch& batch, int64_t layer, LinearKind kind,
                                  const float* x, float* y) {
  const LinearShape shape = ShapeOf(config_, kind);
  std::vector<BatchLinear::Part> parts;
  for (const TenantRun& run : batch.runs) {
    parts.push_back({run, &run.weights->weight(layer, kind), y + run.first * shape.rows});
  }
  SIGNUM_TRY(linear_.Apply(parts, x, shape.columns));
  for (const TenantRun& run : batch.runs) {
    const auto& vectors = run.weights->vectors().layers[static_cast<size_t>(layer)];
    const Buffer<float>& bias = vectors.bias[static_cast<size_t>(kind)];
    if (!bias) continue;
    backend_.AddBias({bias.data(), y + run.first * shape.rows, run.count, shape.rows});
  }
  return {};
}

void ServeEngine::TurnHeads(const TenantRun& run, int64_t layer) {
  const auto& vectors = run.weights->vectors().layers[static_cast<size_t>(layer)];
  const LlamaConfig& config = run.weights->config();
  const auto turn = [&](const Buffer<float>& x, const Buffer<float>& raw,
                        const Buffer<float>& inverse, const Buffer<float>& norm, int64_t heads) {
    const int64_t at = run.first * heads * config.head_dim;
    if (config.qk_norm) {
      backend_.RmsNorm({raw.data() + at, norm.data(), x.data() + at,
                        inverse.data() + run.first * heads, run.count * heads, config.head_dim,
                        config.norm_eps});
    }
    ops::RopeArgs args;
    args.x = x.data() + at;
    args.cos = run.weights->rope().cos.data();
    args.sin = run.weights->rope().sin.data();
    args.rows = run.count;
    args.heads = heads;
    args.head_dim = config.head_dim;
    args.positions = device_.positions.data() + run.first;
    backend_.Rope(args);
  };
  turn(acts_.q, acts_.q_raw, acts_.q_inverse, vectors.q_norm, config.heads);
  turn(acts_.k, acts_.k_raw, acts_.k_inverse, vectors.k_norm, config.kv_heads);
}

void ServeEngine::AttendRun(const Batch& batch, const TenantRun& run, int64_t layer) {
  const LayerCache& cache = caches_[static_cast<size_t>(layer)];
  ops::PagedAttentionArgs args;
  args.q = acts_.q.data() + run.first * config_.q_size();
  args.k = cache.k.data();
  args.v = cache.v.data();
  args.out = acts_.attended.data() + run.first * config_.q_size();
  args.tables = device_.tables.data();
  args.row_tables = device_.row_tables.data() + run.first;
  args.lengths = device_.lengths.data() + run.first;
  args.rows = run.count;
  args.table_stride = batch.table_stride;
  args.block_tokens = options_.block_tokens;
  args.heads = config_.heads;
  args.kv_heads = config_.kv_heads;
  args.head_dim = config_.head_dim;
  args.window = run.weights->config().windows[static_cast<size_t>(layer)];
  serve_.PagedAttention(args);
}

Result<void> ServeEngine::Attend(const Batch& batch, int64_t layer) {
  float* normed = acts_.normed.data();
  const bool norm = config_.qk_norm;
  SIGNUM_TRY(Project(batch, layer, LinearKind::kQ, normed, (norm ? acts_.q_raw : acts_.q).data()));
  SIGNUM_TRY(Project(batch, layer, LinearKind::kK, normed, (norm ? acts_.k_raw : acts_.k).data()));
  SIGNUM_TRY(Project(batch, layer, LinearKind::kV, normed, acts_.v.data()));
  for (const TenantRun& run : batch.runs) TurnHeads(run, layer);
  const LayerCache& cache = caches_[static_cast<size_t>(layer)];
  const int64_t width = config_.kv_size();
  serve_.ScatterRows({acts_.k.data(), device_.slots.data(), cache.k.data(), batch.rows, width});
  serve_.ScatterRows({acts_.v.data(), device_.slots.data(), cache.v.data(), batch.rows, width});
  for (const TenantRun& run : batch.runs) AttendRun(batch, run, layer);
  return Project(batch, layer, LinearKind::kO, acts_.attended.data(), acts_.middle.data());
}

Result<void> ServeEngine::RunLayer(const Batch& batch, int64_t layer) {
  const int64_t hidden = config_.hidden;
  const auto norm = [&](const Buffer<float>& from, const Buffer<float>& to,
                        Buffer<float> ModelVectors::Layer::*weight) {
    for (const TenantRun& run : batch.runs) {
      const auto& vectors = run.weights->vectors().layers[static_cast<size_t>(layer)];
      backend_.RmsNorm({from.data() + run.first * hidden, (vectors.*weight).data(),
                        to.data() + run.first * hidden, acts_.inverse.data() + run.first, run.count,
                        hidden, run.weights->config().norm_eps});
    }
  };
  norm(x_, acts_.normed, &ModelVectors::Layer::input_norm);
  SIGNUM_TRY(Attend(batch, layer));
  backend_.Add({x_.data(), acts_.middle.data(), acts_.middle.data(), batch.rows * hidden});
  norm(acts_.middle, acts_.middle_normed, &ModelVectors::Layer::middle_norm);
  const float* normed = acts_.middle_normed.data();
  SIGNUM_TRY(Project(batch, layer, LinearKind::kGate, normed, acts_.gate.data()));
  SIGNUM_TRY(Project(batch, layer, LinearKind::kUp, normed, acts_.up.data()));
  backend_.Swiglu(
      {acts_.gate.data(), acts_.up.data(), acts_.gated.data(), batch.rows * config_.intermediate});
  SIGNUM_TRY(Project(batch, layer, LinearKind::kDown, acts_.gated.data(), x_.data()));
  backend_.Add({acts_.middle.data(), x_.data(), x_.data(), batch.rows * hidden});
  return {};
}

// ---- logits

Result<std::vector<std::span<const float>>> ServeEngine::Head(const Batch& batch) {
  if (batch.wanted.empty()) return std::vector<std::span<const float>>{};
  const int64_t hidden = config_.hidden;
  backend_.GatherRows({kernels::Element::kF32, x_.data(), device_.wanted.data(), last_.data(),
                       static_cast<int64_t>(batch.wanted.size()), hidden});
  int64_t size = 0;
  for (const TenantRun& run : batch.wanted_runs) size += run.count * run.weights->vocabulary();
  if (static_cast<int64_t>(logits_.size()) < size) {
    SIGNUM_ASSIGN(logits_, MakeBuffer<float>(backend_, size));
  }
  std::vector<BatchLinear::Part> parts;
  float* to = logits_.data();
  for (const TenantRun& run : batch.wanted_runs) {
    if (run.count == 0) continue;
    float* at = last_.data() + run.first * hidden;
    backend_.RmsNorm({at, run.weights->vectors().final_norm.data(), at, acts_.inverse.data(),
                      run.count, hidden, run.weights->config().norm_eps});
    parts.push_back({run, &run.weights->head(), to});
    to += run.count * run.weights->vocabulary();
  }
  SIGNUM_TRY(linear_.Apply(parts, last_.data(), hidden));
  const float* from = logits_.data();
  if (!backend_.host_memory()) {
    host_logits_.resize(static_cast<size_t>(size));
    backend_.Download(logits_.data(), host_logits_.data(), host_logits_.size() * sizeof(float));
    from = host_logits_.data();
  }
  std::vector<std::span<const float>> out;
  for (const TenantRun& run : batch.wanted_runs) {
    for (int64_t i = 0; i < run.count; ++i, from += run.weights->vocabulary()) {
      out.emplace_back(from, static_cast<size_t>(run.weights->vocabulary()));
    }
  }
  return out;
}

Result<std::vector<std::span<const float>>> ServeEngine::Step(std::span<const SequenceStep> steps) {
  const Batch batch = Lay(steps);
  if (batch.rows > options_.step_rows) {
    return Fail(Errc::kInternal, "step_too_large",
                std::to_string(batch.rows) + " rows in a step of at most " +
                    std::to_string(options_.step_rows));
  }
  SIGNUM_TRY(Upload(batch));
  SIGNUM_TRY(Embed(steps));
  for (int64_t l = 0; l < config_.layers; ++l) SIGNUM_TRY(RunLayer(batch, l));
  auto logits = Head(batch);
  SIGNUM_TRY(CheckBackend(backend_));
  return logits;
}

}  // namespace signum
