#include "gpu/model/layer.h"

#include <cmath>

namespace signum {
namespace {

using ops::Buffer;

// A batch's array from the first row of some sequences on.
float* At(const Buffer<float>& buffer, const Sequences& sequences, int64_t width) {
  return buffer.data() + sequences.first_row() * width;
}

void Project(const LayerRun& run, LinearKind kind, const float* x, float* y, int64_t rows) {
  const auto at = static_cast<size_t>(kind);
  const LinearShape shape = ShapeOf(run.config, kind);
  run.backend.MatMul(ops::Linear(x, run.weights.matrix[at], y, rows, shape.rows, shape.columns));
  if (run.weights.bias[at] == nullptr) return;
  run.backend.AddBias({run.weights.bias[at], y, rows, shape.rows});
}

// dx (+)= dy · W.
void ProjectBack(const LayerRun& run, LinearKind kind, const float* dy, float* dx, int64_t rows,
                 bool accumulate) {
  const LinearShape shape = ShapeOf(run.config, kind);
  ops::MatMulArgs args = ops::LinearInputGrad(dy, run.weights.matrix[static_cast<size_t>(kind)], dx,
                                              rows, shape.rows, shape.columns);
  args.accumulate = accumulate;
  run.backend.MatMul(args);
}

ops::RopeArgs Turn(const LayerRun& run, float* x, const Sequences& sequences, int64_t heads,
                   int64_t position) {
  ops::RopeArgs args;
  args.x = x;
  args.cos = run.rope.cos.data();
  args.sin = run.rope.sin.data();
  args.rows = sequences.rows();
  args.tokens = sequences.tokens;
  args.first_position = position;
  args.heads = heads;
  args.head_dim = run.config.head_dim;
  return args;
}

// Head norm, where the model has one, and RoPE, of q or k.
struct HeadInput {
  float* x;    // q or k, as projected
  float* raw;  // a copy of it before the norm
  float* inverse;
  const float* norm;
  int64_t heads;
};
void TurnHeads(const LayerRun& run, const HeadInput& in, const Sequences& sequences,
               int64_t position) {
  const int64_t rows = sequences.rows() * in.heads;
  if (in.norm != nullptr) {
    run.backend.RmsNorm(
        {in.raw, in.norm, in.x, in.inverse, rows, run.config.head_dim, run.config.norm_eps});
  }
  run.backend.Rope(Turn(run, in.x, sequences, in.heads, position));
}

HeadInput QueryHeads(const LayerRun& run, const LayerActivations& acts, const Sequences& s) {
  const bool norm = run.config.qk_norm;
  return {At(acts.q, s, run.config.q_size()),
          norm ? At(acts.q_raw, s, run.config.q_size()) : nullptr,
          norm ? At(acts.q_inverse, s, run.config.heads) : nullptr, run.weights.q_norm,
          run.config.heads};
}

HeadInput KeyHeads(const LayerRun& run, const LayerActivations& acts, const Sequences& s) {
  const bool norm = run.config.qk_norm;
  return {At(acts.k, s, run.config.kv_size()),
          norm ? At(acts.k_raw, s, run.config.kv_size()) : nullptr,
          norm ? At(acts.k_inverse, s, run.config.kv_heads) : nullptr, run.weights.k_norm,
          run.config.kv_heads};
}

// Up to q, k and v, ready for attention. x is the first sequence's.
void Attend(const LayerRun& run, const Sequences& s, int64_t position, const float* x,
            LayerActivations& acts) {
  const int64_t rows = s.rows();
  float* normed = At(acts.normed, s, run.config.hidden);
  run.backend.RmsNorm({x, run.weights.input_norm, normed, At(acts.inverse, s, 1), rows,
                       run.config.hidden, run.config.norm_eps});
  const HeadInput q = QueryHeads(run, acts, s);
  const HeadInput k = KeyHeads(run, acts, s);
  Project(run, LinearKind::kQ, normed, q.norm != nullptr ? q.raw : q.x, rows);
  Project(run, LinearKind::kK, normed, k.norm != nullptr ? k.raw : k.x, rows);
  Project(run, LinearKind::kV, normed, At(acts.v, s, run.config.kv_size()), rows);
  TurnHeads(run, q, s, position);
  TurnHeads(run, k, s, position);
}

// From what attention gives to the layer's output.
void Finish(const LayerRun& run, const Sequences& s, const float* x, LayerActivations& acts,
            float* output) {
  const int64_t rows = s.rows();
  const int64_t hidden = run.config.hidden;
  float* middle = At(acts.middle, s, hidden);
  Project(run, LinearKind::kO, At(acts.attended, s, run.config.q_size()), middle, rows);
  run.backend.Add({x, middle, middle, rows * hidden});
  float* normed = At(acts.middle_normed, s, hidden);
  run.backend.RmsNorm({middle, run.weights.middle_norm, normed, At(acts.middle_inverse, s, 1), rows,
                       hidden, run.config.norm_eps});
  float* gate = At(acts.gate, s, run.config.intermediate);
  float* up = At(acts.up, s, run.config.intermediate);
  float* gated = At(acts.gated, s, run.config.intermediate);
  Project(run, LinearKind::kGate, normed, gate, rows);
  Project(run, LinearKind::kUp, normed, up, rows);
  run.backend.Swiglu({gate, up, gated, rows * run.config.intermediate});
  Project(run, LinearKind::kDown, gated, output, rows);
  run.backend.Add({middle, output, output, rows * hidden});
}

ops::AttentionShape Shape(const LayerRun& run, const Sequences& s) {
  return {s.count,
          s.tokens,
          run.config.heads,
          run.config.kv_heads,
          run.config.head_dim,
          run.config.windows[static_cast<size_t>(run.layer)]};
}

// dq or dk from after RoPE and head norm to before.
void TurnHeadsBack(const LayerRun& run, const HeadInput& in, const Sequences& s, float* dx) {
  ops::RopeArgs rope = Turn(run, dx, s, in.heads, 0);
  rope.inverse = true;
  run.backend.Rope(rope);
  if (in.norm == nullptr) return;
  run.backend.RmsNormBackward(
      {dx, in.raw, in.norm, in.inverse, dx, s.rows() * in.heads, run.config.head_dim, false});
}

// From dout to dmiddle, the gradient for the residual stream between attention and MLP.
void MlpBack(const LayerRun& run, const Sequences& s, const LayerActivations& acts,
             const float* dout, LayerGrads& grads) {
  const int64_t rows = s.rows();
  const int64_t hidden = run.config.hidden;
  const int64_t width = run.config.intermediate;
  float* dgate = At(grads.dgate, s, width);
  float* dup = At(grads.dup, s, width);
  float* dnormed = At(grads.dnormed, s, hidden);
  float* dmiddle = At(grads.dmiddle, s, hidden);
  ProjectBack(run, LinearKind::kDown, dout, dup, rows, false);
  run.backend.SwigluBackward(
      {dup, At(acts.gate, s, width), At(acts.up, s, width), dgate, dup, rows * width});
  ProjectBack(run, LinearKind::kGate, dgate, dnormed, rows, false);
  ProjectBack(run, LinearKind::kUp, dup, dnormed, rows, true);
  run.backend.RmsNormBackward({dnormed, At(acts.middle, s, hidden), run.weights.middle_norm,
                               At(acts.middle_inverse, s, 1), dmiddle, rows, hidden, false});
  run.backend.Add({dout, dmiddle, dmiddle, rows * hidden});
}

}  // namespace

Result<RopeTable> RopeTable::Create(ops::Backend& backend, const LlamaConfig& config,
                                    int64_t positions) {
  const auto half = static_cast<int64_t>(config.inverse_periods.size());
  std::vector<float> cos(static_cast<size_t>(positions * half));
  std::vector<float> sin(cos.size());
  for (int64_t p = 0; p < positions; ++p) {
    for (int64_t i = 0; i < half; ++i) {
      const double angle = static_cast<double>(p) * config.inverse_periods[static_cast<size_t>(i)];
      cos[static_cast<size_t>(p * half + i)] = static_cast<float>(std::cos(angle));
      sin[static_cast<size_t>(p * half + i)] = static_cast<float>(std::sin(angle));
    }
  }
  RopeTable table;
  table.positions = positions;
  SIGNUM_ASSIGN(table.cos, MakeBuffer<float>(backend, positions * half));
  SIGNUM_ASSIGN(table.sin, MakeBuffer<float>(backend, positions * half));
  backend.Upload(cos.data(), table.cos.data(), cos.size() * sizeof(float));
  backend.Upload(sin.data(), table.sin.data(), sin.size() * sizeof(float));
  return table;
}

Result<LayerActivations> LayerActivations::Create(ops::Backend& backend, const LlamaConfig& config,
                                                  int64_t rows) {
  LayerActivations acts;
  for (Buffer<float>* buffer : {&acts.normed, &acts.middle, &acts.middle_normed}) {
    SIGNUM_ASSIGN(*buffer, MakeBuffer<float>(backend, rows * config.hidden));
  }
  for (Buffer<float>* buffer : {&acts.q, &acts.attended}) {
    SIGNUM_ASSIGN(*buffer, MakeBuffer<float>(backend, rows * config.q_size()));
  }
  for (Buffer<float>* buffer : {&acts.k, &acts.v}) {
    SIGNUM_ASSIGN(*buffer, MakeBuffer<float>(backend, rows * config.kv_size()));
  }
  for (Buffer<float>* buffer : {&acts.gate, &acts.up, &acts.gated}) {
    SIGNUM_ASSIGN(*buffer, MakeBuffer<float>(backend, rows * config.intermediate));
  }
  for (Buffer<float>* buffer : {&acts.inverse, &acts.middle_inverse}) {
    SIGNUM_ASSIGN(*buffer, MakeBuffer<float>(backend, rows));
  }
  if (!config.qk_norm) return acts;
  SIGNUM_ASSIGN(acts.q_raw, MakeBuffer<float>(backend, rows * config.q_size()));
  SIGNUM_ASSIGN(acts.k_raw, MakeBuffer<float>(backend, rows * config.kv_size()));
  SIGNUM_ASSIGN(acts.q_inverse, MakeBuffer<float>(backend, rows * config.heads));
  SIGNUM_ASSIGN(acts.k_inverse, MakeBuffer<float>(backend, rows * config.kv_heads));
  return acts;
}

Result<LayerGrads> LayerGrads::Create(ops::Backend& backend, const LlamaConfig& config,
                                      int64_t rows) {
  LayerGrads grads;
  for (Buffer<float>* buffer : {&grads.dmiddle, &grads.dnormed}) {
    SIGNUM_ASSIGN(*buffer, MakeBuffer<float>(backend, rows * config.hidden));
  }
  for (Buffer<float>* buffer : {&grads.dq, &grads.dattended}) {
    SIGNUM_ASSIGN(*buffer, MakeBuffer<float>(backend, rows * config.q_size()));
  }
  for (Buffer<float>* buffer : {&grads.dk, &grads.dv}) {
    SIGNUM_ASSIGN(*buffer, MakeBuffer<float>(backend, rows * config.kv_size()));
  }
  for (Buffer<float>* buffer : {&grads.dgate, &grads.dup}) {
    SIGNUM_ASSIGN(*buffer, MakeBuffer<float>(backend, rows * config.intermediate));
  }
  return grads;
}

void ForwardLayer(const LayerRun& run, const Sequences& sequences, const float* input,
                  LayerActivations& acts, float* output) {
  const LlamaConfig& config = run.config;
  const int64_t at = sequences.first_row() * config.hidden;
  Attend(run, sequences, 0, input + at, acts);
  run.backend.Attention({Shape(run, sequences), At(acts.q, sequences, config.q_size()),
                         At(acts.k, sequences, config.kv_size()),
                         At(acts.v, sequences, config.kv_size()),
                         At(acts.attended, sequences, config.q_size())});
  Finish(run, sequences, input + at, acts, output + at);
}

void BackwardLayer(const LayerRun& run, const Sequences& s, const float* input,
                   const LayerActivations& acts, const float* dout, LayerGrads& grads,
                   float* dinput) {
  const LlamaConfig& config = run.config;
  const int64_t rows = s.rows();
  const int64_t at = s.first_row() * config.hidden;
  MlpBack(run, s, acts, dout + at, grads);
  float* dmiddle = At(grads.dmiddle, s, config.hidden);
  float* dattended = At(grads.dattended, s, config.q_size());
  float* dq = At(grads.dq, s, config.q_size());
  float* dk = At(grads.dk, s, config.kv_size());
  float* dv = At(grads.dv, s, config.kv_size());
  ProjectBack(run, LinearKind::kO, dmiddle, dattended, rows, false);
  run.backend.AttentionBackward({Shape(run, s), At(acts.q, s, config.q_size()),
                                 At(acts.k, s, config.kv_size()), At(acts.v, s, config.kv_size()),
                                 dattended, dq, dk, dv});
  TurnHeadsBack(run, QueryHeads(run, acts, s), s, dq);
  TurnHeadsBack(run, KeyHeads(run, acts, s), s, dk);
  float* dnormed = At(grads.dnormed, s, config.hidden);
  ProjectBack(run, LinearKind::kQ, dq, dnormed, rows, false);
  ProjectBack(run, LinearKind::kK, dk, dnormed, rows, true);
  ProjectBack(run, LinearKind::kV, dv, dnormed, rows, true);
  run.backend.RmsNormBackward({dnormed, input + at, run.weights.input_norm, At(acts.inverse, s, 1),
                               dinput + at, rows, config.hidden, false});
  run.backend.Add({dmiddle, dinput + at, dinput + at, rows * config.hidden});
}

void DecodeLayer(const LayerRun& run, const Sequences& s, int64_t position, LayerActivations& acts,
                 LayerCache& cache, float* x) {
  const LlamaConfig& config = run.config;
  const int64_t width = config.kv_size();
  float* at = x + s.first_row() * config.hidden;
  Attend(run, s, position, at, acts);
  const int64_t first = s.first * cache.capacity * width;
  const auto append = [&](const Buffer<float>& from, const Buffer<float>& to) {
    run.backend.CopyRows({At(from, s, width), to.data() + first + position * width, s.count, width,
                          width, cache.capacity * width});
  };
  append(acts.k, cache.k);
  append(acts.v, cache.v);
  ops::DecodeAttentionArgs attention;
  attention.shape = Shape(run, s);
  attention.q = At(acts.q, s, config.q_size());
  attention.k_cache = cache.k.data() + first;
  attention.v_cache = cache.v.data() + first;
  attention.out = At(acts.attended, s, config.q_size());
  attention.capacity = cache.capacity;
  attention.length = position + 1;
  run.backend.DecodeAttention(attention);
  Finish(run, s, at, acts, at);
}

}  // namespace signum
