#pragma once

#include <optional>

#include "gpu/model/forward.h"

namespace signum {

// How well a delta stands in for its fine-tune on held-out rows. A row's tokens but the last are
// input, all but the first are targets.
struct Fidelity {
  double logit_mse = 0;  // mean over targets and vocabulary of (delta's logit - fine-tune's)²
  double kl = 0;         // mean over targets of KL(fine-tune ‖ delta), nats
  double top1 = 0;       // share of targets where both find the same token most likely
  double perplexity_fine = 0, perplexity_delta = 0;
  std::optional<double> perplexity_base;  // nothing where a target is not in its vocabulary
  int64_t targets = 0;
};

struct FidelityModels {
  const LlamaConfig& base_config;
  const LlamaConfig& fine_config;
  ModelWeights& base;
  ModelWeights& fine;
  ModelWeights& delta;
};

// Errc::kUnusable token_out_of_range naming row and token where an id is not in the fine-tune's
// vocabulary, no_tokens where there are none.
Result<Fidelity> MeasureFidelity(const Compute& compute, const FidelityModels& models,
                                 const TokenRows& rows, const ModelProgress& progress);

// Errc::kUnusable token_out_of_range, no_tokens.
Result<void> CheckTokens(const TokenRows& rows, int64_t vocabulary);

}  // namespace signum
