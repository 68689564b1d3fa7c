#include "gpu/serve/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace signum {
namespace {

int32_t Greedy(std::span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

// log Σ exp(logits).
double LogSum(std::span<const float> logits) {
  const double most = double{*std::max_element(logits.begin(), logits.end())};
  double sum = 0;
  for (const float z : logits) sum += std::exp(double{z} - most);
  return most + std::log(sum);
}

// The `count` largest first, by descending logit, then ascending id.
std::vector<int32_t> Ranked(std::span<const float> logits, size_t count) {
  std::vector<int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto before = [&](int32_t a, int32_t b) {
    const float x = logits[static_cast<size_t>(a)];
    const float y = logits[static_cast<size_t>(b)];
    return x != y ? x > y : a < b;
  };
  const size_t kept = std::min(count, ids.size());
  std::partial_sort(ids.begin(), ids.begin() + static_cast<ptrdiff_t>(kept), ids.end(), before);
  ids.resize(kept);
  return ids;
}

}  // namespace

int32_t SampleToken(std::span<const float> logits, const SamplingOptions& options, double uniform) {
  if (options.temperature <= 0) return Greedy(logits);
  const size_t bound = options.top_k > 0 ? static_cast<size_t>(options.top_k) : logits.size();
  const std::vector<int32_t> ids = Ranked(logits, bound);
  const double most = double{logits[static_cast<size_t>(ids[0])]};
  std::vector<double> weights;
  double total = 0;
  for (const int32_t id : ids) {
    const double z = double{logits[static_cast<size_t>(id)]};
    weights.push_back(std::exp((z - most) / options.temperature));
    total += weights.back();
  }
  size_t kept = 0;
  double share = 0;
  while (kept < weights.size() && (kept == 0 || share < options.top_p * total)) {
    share += weights[kept++];
  }
  double left = uniform * share;
  for (size_t i = 0; i < kept; ++i) {
    left -= weights[i];
    if (left < 0) return ids[i];
  }
  return ids[kept - 1];
}

double LogprobOf(std::span<const float> logits, int32_t token) {
  return double{logits[static_cast<size_t>(token)]} - LogSum(logits);
}

std::vector<TokenLogprob> TopLogprobs(std::span<const float> logits, int64_t count) {
  const double sum = LogSum(logits);
  std::vector<TokenLogprob> out;
  for (const int32_t id : Ranked(logits, static_cast<size_t>(count))) {
    out.push_back({id, double{logits[static_cast<size_t>(id)]} - sum});
  }
  return out;
}

}  // namespace signum
