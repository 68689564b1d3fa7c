#include "gpu/model/forward.h"

namespace signum {

void Logits(ops::Backend& backend, const float* hidden, const float* head, int64_t rows,
            int64_t vocabulary, int64_t width, float* out) {
  backend.MatMul(ops::Linear(hidden, head, out, rows, vocabulary, width));
}

Result<void> Embed(const ModelWeights& weights, std::span<const int32_t> tokens, float* out) {
  return weights.source().Gather(kEmbeddingName, {tokens.begin(), tokens.end()}, out);
}

Result<ops::Buffer<float>> HiddenStates(const Compute& compute, const LlamaConfig& config,
                                        ModelWeights& weights, const TokenRows& rows,
                                        const ModelProgress& progress) {
  ops::Backend& backend = compute.backend;
  const Sequences all{0, rows.count(), rows.tokens};
  const Pieces pieces(compute, all);
  SIGNUM_ASSIGN(const RopeTable rope, RopeTable::Create(backend, config, rows.tokens));
  SIGNUM_ASSIGN(auto states, MakeBuffer<float>(backend, all.rows() * config.hidden));
  SIGNUM_TRY(Embed(weights, rows.ids, states.data()));

  // A thread needs the activations of one piece only.
  std::vector<LayerActivations> acts(static_cast<size_t>(compute.threads));
  const int64_t piece_rows = pieces.count() == 0 ? 0 : pieces[0].rows();
  for (LayerActivations& each : acts) {
    SIGNUM_ASSIGN(each, LayerActivations::Create(backend, config, piece_rows));
  }
  for (int64_t l = 0; l < config.layers; ++l) {
    SIGNUM_TRY(progress(static_cast<double>(l) / static_cast<double>(config.layers)));
    SIGNUM_ASSIGN(const LayerWeights* layer, weights.Layer(l));
    const LayerRun run{backend, config, rope, l, *layer};
    SIGNUM_TRY(ParallelFor(compute, pieces.count(), [&](size_t worker, int64_t p) -> Result<void> {
      const Sequences piece = pieces[p];
      float* x = states.data() + piece.first_row() * config.hidden;
      ForwardLayer(run, {0, piece.count, piece.tokens}, x, acts[worker], x);
      return {};
    }));
  }
  SIGNUM_ASSIGN(const auto inverse, MakeBuffer<float>(backend, all.rows()));
  backend.RmsNorm({states.data(), weights.final_norm(), states.data(), inverse.data(), all.rows(),
                   config.hidden, config.norm_eps});
  SIGNUM_TRY(CheckBackend(backend));
  return states;
}

}  // namespace signum
