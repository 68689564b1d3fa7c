#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace signum {

struct SamplingOptions {
  double temperature = 1;  // 0: the most likely token (the first of equals)
  double top_p = 1;        // of the most likely tokens, those that make up this share
  int64_t top_k = 0;       // of those, at most this many; 0: no bound
  uint64_t seed = 0;
};

// The token that a draw `uniform` in [0, 1) picks from softmax(logits / temperature), cut to top_k
// and top_p and scaled to 1 again: tokens are taken by descending probability (ascending id among
// equals), the first whose cumulative probability exceeds the draw is the one.
int32_t SampleToken(std::span<const float> logits, const SamplingOptions& options, double uniform);

struct TokenLogprob {
  int32_t token = 0;
  double logprob = 0;
};

// log softmax(logits) of one token, and of the `count` most likely ones, most likely first.
double LogprobOf(std::span<const float> logits, int32_t token);
std::vector<TokenLogprob> TopLogprobs(std::span<const float> logits, int64_t count);

}  // namespace signum
