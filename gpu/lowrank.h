#pragma once

#include <optional>
#include <vector>

#include "gpu/encode.h"
#include "gpu/rebuilt_matrix.h"

namespace signum {

// Finding out whether a difference is low-rank: Δ ≈ s B A with B [N, R] and A [R, K]. KERNELS.md,
// "Low rank", has the reasons and figures.

// As they are stored: values of `dtype`.
struct LowrankFactors {
  uint64_t rank = 0;
  Dtype dtype = Dtype::kF32;
  float scale = 1;
  std::vector<float> a;  // rank x K
  std::vector<float> b;  // N x rank
  double energy = 0;     // Σ Δ²
  double error = 0;  // what is left: Σ (W_fine - W_rebuilt)², after rounding to the fine dtype
};

// The dtype of factors of a weight of this one.
Dtype FactorDtype(Dtype fine);
// The highest rank whose parts take less than `bytes`, at most half the full one; 0 for a weight
// that is too small for a search to be worth its while.
uint64_t HighestRank(const TensorInfo& info, uint64_t bytes);

// A cheap look at a few rows: about the rank that the difference seems to have, if it is at most
// `max_rank`. Costs a small part of a pass for a difference that is not low-rank.
Result<std::optional<uint64_t>> GuessRank(const RowPairs& pairs, uint64_t max_rank);

struct RankSearch {
  uint64_t guess = 0;    // about what the rank is
  uint64_t highest = 0;  // what it may be, > 0
  // Rather the highest than those that stand out: the best that so many bytes can do.
  bool all = false;
};
// The singular directions of the difference that stand out of the noise, by subspace iteration from
// a fixed random start, `guess` (and some more) columns wide. Three passes over the differences and
// two that measure. Nothing where there are none.
Result<std::optional<LowrankFactors>> FindFactors(const EncodeContext& context,
                                                  const TensorInfo& info, const RowPairs& pairs,
                                                  const RankSearch& search);

// Factors that are given, as they are. Errc::kUnusable not_finite unless that is allowed.
Result<Encoded> EncodeFactors(const EncodeContext& context, const TensorInfo& info,
                              const LowrankSource& factors);

// Writes what FindFactors found.
Result<Encoded> EncodeLowrank(const EncodeContext& context, const TensorInfo& info,
                              const LowrankFactors& factors);

}  // namespace signum
