#include "gpu/serve/engine.h"

namespace signum {

using ops::Buffer;

namespace {

// Neighbours that `same` finds alike, as one.
template <class Same>
std::vector<TenantRun> Joined(const std::vector<TenantRun>& runs, Same same) {
  std::vector<TenantRun> out;
  for (const TenantRun& run : runs) {
    if (!out.empty() && same(*out.back().weights, *run.weights)) {
      out.back().count += run.count;
    } else {
      out.push_back(run);
    }
  }
  return out;
}

}  // namespace

ServeEngine::ServeEngine(std::shared_ptr<const BaseWeights> base, ops::Backend& backend,
                         ops::ServeOps& serve, const ServeEngineOptions& options)
    : base_(std::move(base)),
      backend_(backend),
      serve_(serve),
      options_(options),
      config_(base_->config()),
      linear_(backend_, serve_) {}

Result<std::unique_ptr<ServeEngine>> ServeEngine::Create(std::shared_ptr<const BaseWeights> base,
                                                         const ServeEngineOptions& options,
                                                         ops::Backend& backend) {
  ops::ServeOps* serve = ops::ServeOpsOf(backend);
  if (serve == nullptr) {
    return Fail(Errc::kUnavailable, "unsupported_device",
                backend.name() + " cannot serve: its module has no ops for it");
  }
  std::unique_ptr<ServeEngine> engine(new ServeEngine(std::move(base), backend, *serve, options));
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
    const auto norms_at = static_cast<int32_t>((batch.runs.size() - 1) * norms());
    batch.norms.insert(batch.norms.end(), static_cast<size_t>(count), norms_at);
    batch.wanted_norms.insert(batch.wanted_norms.end(),
                              static_cast<size_t>(count - step.logits_from), norms_at);
    batch.runs.back().count += count;
    batch.wanted_runs.back().count += count - step.logits_from;
    batch.tables.insert(batch.tables.end(), step.blocks.begin(), step.blocks.end());
    batch.tables.resize((s + 1) * static_cast<size_t>(batch.table_stride));
    for (int64_t i = 0; i < count; ++i) {
      const int64_t position = step.position + i;
      batch.tokens.push_back(step.tokens[static_cast<size_t>(i)]);
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

// All in one piece: a transfer to a device costs more than its bytes.
Result<void> ServeEngine::Upload(const Batch& batch) {
  std::vector<int32_t> all;
  const std::pair<const std::vector<int32_t>&, const int32_t*&> lists[] = {
      {batch.tokens, device_.tokens},
      {batch.positions, device_.positions},
      {batch.lengths, device_.lengths},
      {batch.row_tables, device_.row_tables},
      {batch.slots, device_.slots},
      {batch.tables, device_.tables},
      {batch.wanted, device_.wanted},
      {batch.norms, device_.norms},
      {batch.wanted_norms, device_.wanted_norms}};
  for (const auto& [values, at] : lists) all.insert(all.end(), values.begin(), values.end());
  if (numbers_.size() < all.size()) {
    SIGNUM_ASSIGN(numbers_, MakeBuffer<int32_t>(backend_, static_cast<int64_t>(all.size()) * 2));
  }
  backend_.Upload(all.data(), numbers_.data(), all.size() * sizeof(int32_t));
  const int32_t* next = numbers_.data();
  for (const auto& [values, at] : lists) {
    at = next;
    next += values.size();
  }
  SIGNUM_TRY(UploadNorms(batch));
  return linear_.Begin(batch.runs, batch.wanted_runs);
}

// Of each run: both norms of each layer, then the last.
Result<void> ServeEngine::UploadNorms(const Batch& batch) {
  std::vector<ops::NormWeight> weights;
  for (const TenantRun& run : batch.runs) {
    const float eps = run.weights->config().norm_eps;
    for (const ModelVectors::Layer& layer : run.weights->vectors().layers) {
      weights.push_back({layer.input_norm.data(), eps});
      weights.push_back({layer.middle_norm.data(), eps});
    }
    weights.push_back({run.weights->vectors().final_norm.data(), eps});
  }
  if (norm_weights_.size() < weights.size()) {
    SIGNUM_ASSIGN(norm_weights_,
                  MakeBuffer<ops::NormWeight>(backend_, static_cast<int64_t>(weights.size()) * 2));
  }
  backend_.Upload(weights.data(), norm_weights_.data(), weights.size() * sizeof(ops::NormWeight));
  device_.weights = norm_weights_.data();
  return {};
}

void ServeEngine::Norm(size_t which, const int32_t* rows, int64_t count, const float* x, float* y) {
  serve_.TenantNorm({device_.weights + which, rows, x, y, count, config_.hidden});
}

Result<void> ServeEngine::Embed(std::span<const SequenceStep> steps) {
  float* to = x_.data();
  const int32_t* tokens = device_.tokens;
  for (const SequenceStep& step : steps) {
    SIGNUM_TRY(step.weights->Embed(backend_, step.tokens, tokens, to));
    to += static_cast<int64_t>(step.tokens.size()) * config_.hidden;
    tokens += step.tokens.size();
  }
  return {};
}

// ---- layers

Result<void> ServeEngine::Project(const Batch& batch, int64_t layer, LinearKind kind,
                                  const float* x, float* y) {
  const LinearShape shape = ShapeOf(config_, kind);
  std::vector<BatchLinear::Part> parts;
  for (size_t r = 0; r < batch.runs.size(); ++r) {
    parts.push_back({r, y + batch.runs[r].first * shape.rows});
  }
  const size_t weight = static_cast<size_t>(layer) * kLinears + static_cast<size_t>(kind);
  SIGNUM_TRY(linear_.Apply(BatchLinear::Rows::kAll, weight, parts, x, shape.columns));
  for (const TenantRun& run : batch.runs) {
    const auto& vectors = run.weights->vectors().layers[static_cast<size_t>(layer)];
    const Buffer<float>& bias = vectors.bias[static_cast<size_t>(kind)];
    if (!bias) continue;
    backend_.AddBias({bias.data(), y + run.first * shape.rows, run.count, shape.rows});
  }
  return {};
}

// The norms of a run's heads, where its model has them.
void ServeEngine::NormHeads(const TenantRun& run, int64_t layer) {
  const auto& vectors = run.weights->vectors().layers[static_cast<size_t>(layer)];
  const auto norm = [&](const Buffer<float>& x, const Buffer<float>& raw,
                        const Buffer<float>& inverse, const Buffer<float>& weight, int64_t heads) {
    const int64_t at = run.first * heads * config_.head_dim;
    backend_.RmsNorm({raw.data() + at, weight.data(), x.data() + at,
                      inverse.data() + run.first * heads, run.count * heads, config_.head_dim,
                      run.weights->config().norm_eps});
  };
  norm(acts_.q, acts_.q_raw, acts_.q_inverse, vectors.q_norm, config_.heads);
  norm(acts_.k, acts_.k_raw, acts_.k_inverse, vectors.k_norm, config_.kv_heads);
}

void ServeEngine::TurnHeads(const TenantRun& rows) {
  const auto turn = [&](const Buffer<float>& x, int64_t heads) {
    ops::RopeArgs args;
    args.x = x.data() + rows.first * heads * config_.head_dim;
    args.cos = rows.weights->rope().cos.data();
    args.sin = rows.weights->rope().sin.data();
    args.rows = rows.count;
    args.heads = heads;
    args.head_dim = config_.head_dim;
    args.positions = device_.positions + rows.first;
    backend_.Rope(args);
  };
  turn(acts_.q, config_.heads);
  turn(acts_.k, config_.kv_heads);
}

void ServeEngine::AttendRows(const Batch& batch, const TenantRun& run, int64_t layer) {
  const LayerCache& cache = caches_[static_cast<size_t>(layer)];
  ops::PagedAttentionArgs args;
  args.q = acts_.q.data() + run.first * config_.q_size();
  args.k = cache.k.data();
  args.v = cache.v.data();
  args.out = acts_.attended.data() + run.first * config_.q_size();
  args.tables = device_.tables;
  args.row_tables = device_.row_tables + run.first;
  args.lengths = device_.lengths + run.first;
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
  for (const TenantRun& run : batch.runs) {
    if (norm) NormHeads(run, layer);
  }
  const auto same_rope = [](const TenantWeights& a, const TenantWeights& b) {
    return &a.rope() == &b.rope();
  };
  for (const TenantRun& rows : Joined(batch.runs, same_rope)) TurnHeads(rows);
  const LayerCache& cache = caches_[static_cast<size_t>(layer)];
  const int64_t width = config_.kv_size();
  serve_.ScatterRows({acts_.k.data(), device_.slots, cache.k.data(), batch.rows, width});
  serve_.ScatterRows({acts_.v.data(), device_.slots, cache.v.data(), batch.rows, width});
  const auto same_window = [&](const TenantWeights& a, const TenantWeights& b) {
    const auto l = static_cast<size_t>(layer);
    return a.config().windows[l] == b.config().windows[l];
  };
  for (const TenantRun& rows : Joined(batch.runs, same_window)) AttendRows(batch, rows, layer);
  return Project(batch, layer, LinearKind::kO, acts_.attended.data(), acts_.middle.data());
}

Result<void> ServeEngine::RunLayer(const Batch& batch, int64_t layer) {
  const int64_t hidden = config_.hidden;
  const auto norm = [&](size_t which, const Buffer<float>& from, const Buffer<float>& to) {
    Norm(static_cast<size_t>(layer) * 2 + which, device_.norms, batch.rows, from.data(), to.data());
  };
  norm(0, x_, acts_.normed);
  SIGNUM_TRY(Attend(batch, layer));
  backend_.Add({x_.data(), acts_.middle.data(), acts_.middle.data(), batch.rows * hidden});
  norm(1, acts_.middle, acts_.middle_normed);
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
  backend_.GatherRows({kernels::Element::kF32, x_.data(), device_.wanted, last_.data(),
                       static_cast<int64_t>(batch.wanted.size()), hidden});
  Norm(norms() - 1, device_.wanted_norms, static_cast<int64_t>(batch.wanted.size()), last_.data(),
       last_.data());
  int64_t size = 0;
  for (const TenantRun& run : batch.wanted_runs) size += run.count * run.weights->vocabulary();
  if (static_cast<int64_t>(logits_.size()) < size) {
    SIGNUM_ASSIGN(logits_, MakeBuffer<float>(backend_, size));
  }
  std::vector<BatchLinear::Part> parts;
  float* to = logits_.data();
  for (size_t r = 0; r < batch.wanted_runs.size(); ++r) {
    const TenantRun& run = batch.wanted_runs[r];
    if (run.count == 0) continue;
    parts.push_back({r, to});
    to += run.count * run.weights->vocabulary();
  }
  const size_t head = batch.runs[0].weights->weights() - 1;
  SIGNUM_TRY(linear_.Apply(BatchLinear::Rows::kWanted, head, parts, last_.data(), hidden));
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

Result<std::vector<std::span<const float>>> ServeEngine::Run(std::span<const SequenceStep> steps,
                                                             const Batch& batch) {
  SIGNUM_TRY(Upload(batch));
  SIGNUM_TRY(Embed(steps));
  for (int64_t l = 0; l < config_.layers; ++l) SIGNUM_TRY(RunLayer(batch, l));
  return Head(batch);
}

Result<std::vector<std::span<const float>>> ServeEngine::Step(std::span<const SequenceStep> steps) {
  const Batch batch = Lay(steps);
  if (batch.rows > options_.step_rows) {
    return Fail(Errc::kInternal, "step_too_large",
                std::to_string(batch.rows) + " rows in a step of at most " +
                    std::to_string(options_.step_rows));
  }
  auto logits = Run(steps, batch);
  // Waits, whatever came of it: who holds the weights may let them go now.
  const Result<void> ran = CheckBackend(backend_);
  failed_ = !ran && !CheckBackend(backend_);
  if (logits && !ran) return ran.error();
  return logits;
}

}  // namespace signum
