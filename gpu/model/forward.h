#pragma once

#include <functional>
#include <span>

#include "gpu/model/layer.h"

namespace signum {

// Token ids [count, tokens], row-major.
struct TokenRows {
  std::vector<int32_t> ids;
  int64_t tokens = 0;

  int64_t count() const { return tokens == 0 ? 0 : static_cast<int64_t>(ids.size()) / tokens; }
  std::span<const int32_t> Row(int64_t row) const {
    return std::span(ids).subspan(static_cast<size_t>(row * tokens), static_cast<size_t>(tokens));
  }
};

// Called between layers with the share that is done, 0…1; an error stops.
using ModelProgress = std::function<Result<void>(double)>;

// The last layer's output for every token after the final norm, [count · tokens, hidden], in the
// backend's memory: the head's input. Layer by layer for all rows, so that each layer's weights are
// wanted once.
Result<ops::Buffer<float>> HiddenStates(const Compute& compute, const LlamaConfig& config,
                                        ModelWeights& weights, const TokenRows& rows,
                                        const ModelProgress& progress);

// Logits [rows, vocabulary] of `rows` hidden states.
void Logits(ops::Backend& backend, const float* hidden, const float* head, int64_t rows,
            int64_t vocabulary, int64_t width, float* out);

// Rows of the embedding for tokens, [tokens, hidden]. The ids must be in the vocabulary.
Result<void> Embed(const ModelWeights& weights, std::span<const int32_t> tokens, float* out);

}  // namespace signum
