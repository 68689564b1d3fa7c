#include "gpu/allocate.h"

#include <algorithm>
#include <numeric>
#include <queue>

namespace signum {
namespace {

double Slope(const Cost& from, const Cost& to) {
  return (from.error - to.error) / static_cast<double>(to.bytes - from.bytes);
}

// The options on the lower convex hull by ascending bytes: each step takes away error, and less a
// byte than the one before.
std::vector<size_t> Hull(const std::vector<Cost>& options) {
  std::vector<size_t> order(options.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return options[a].bytes != options[b].bytes ? options[a].bytes < options[b].bytes
                                                : options[a].error < options[b].error;
  });
  std::vector<size_t> hull;
  for (size_t option : order) {
    const Cost& next = options[option];
    if (!hull.empty() && next.error >= options[hull.back()].error) continue;
    while (hull.size() >= 2 && Slope(options[hull[hull.size() - 2]], next) >=
                                   Slope(options[hull[hull.size() - 2]], options[hull.back()])) {
      hull.pop_back();
    }
    hull.push_back(option);
  }
  return hull;
}

struct Step {
  double slope;
  size_t tensor;
  // The steepest first; of equal ones the first tensor's.
  bool operator<(const Step& other) const {
    return slope != other.slope ? slope < other.slope : tensor > other.tensor;
  }
};

}  // namespace

Result<std::vector<size_t>> Allocate(const std::vector<std::vector<Cost>>& options,
                                     uint64_t budget) {
  std::vector<std::vector<size_t>> hulls;
  std::vector<size_t> at(options.size());
  uint64_t used = 0;
  std::priority_queue<Step> steps;
  const auto push = [&](size_t t) {
    if (at[t] + 1 == hulls[t].size()) return;
    steps.push({Slope(options[t][hulls[t][at[t]]], options[t][hulls[t][at[t] + 1]]), t});
  };
  for (size_t t = 0; t < options.size(); ++t) {
    hulls.push_back(Hull(options[t]));
    used += options[t][hulls[t][0]].bytes;
    push(t);
  }
  if (used > budget) {
    return Fail(Errc::kUnusable, "budget_too_small",
                "the tensors take at least " + std::to_string(used) + " bytes, the budget leaves " +
                    std::to_string(budget));
  }
  while (!steps.empty()) {
    const size_t t = steps.top().tensor;
    steps.pop();
    const uint64_t more = options[t][hulls[t][at[t] + 1]].bytes - options[t][hulls[t][at[t]]].bytes;
    if (more > budget - used) continue;
    used += more;
    ++at[t];
    push(t);
  }
  std::vector<size_t> chosen;
  for (size_t t = 0; t < options.size(); ++t) chosen.push_back(hulls[t][at[t]]);
  return chosen;
}

}  // namespace signum
