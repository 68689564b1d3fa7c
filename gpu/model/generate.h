#pragma once

#include "gpu/model/forward.h"

namespace signum {

struct GenerateOptions {
  int64_t rows = 200;
  int64_t tokens = 129;  // of a row
  float temperature = 1;
  uint64_t seed = 0;
};

// Text that a model writes itself: rows that begin with a token drawn uniformly from the vocabulary
// and go on with samples, with a cache of keys and values. The number drawn for a token depends on
// seed, row and position alone. Layers are loaded once a token where the weights are not resident.
Result<TokenRows> Generate(const Compute& compute, const LlamaConfig& config, ModelWeights& weights,
                           const GenerateOptions& options, const ModelProgress& progress);

// A number in [0, 1) for a draw of a seed, row and position (SplitMix64, Steele et al. 2014).
double UniformDraw(uint64_t seed, uint64_t row, uint64_t position);

}  // namespace signum
