#include "gpu/ops/sample.h"

#include <cmath>

#include "tests/gpu/ops/cases.h"

namespace signum::ops {
namespace {

std::vector<int32_t> Draw(Backend& backend, const Floats& logits, const Floats& uniform,
                          float temperature) {
  const auto rows = static_cast<int64_t>(uniform.size());
  const OnDevice<float> on_logits(backend, logits);
  const OnDevice<float> on_uniform(backend, uniform);
  const OnDevice<int32_t> tokens(backend, uniform.size());
  backend.Sample({on_logits.data(), on_uniform.data(), tokens.data(), rows,
                  static_cast<int64_t>(logits.size()) / rows, temperature});
  return tokens.Get();
}

void Greedy(Backend& backend, Report& report) {
  std::mt19937 random(1);
  for (const size_t n : {1U, 5U, 300U, 2000U}) {
    Floats logits = RandomFloats(random, static_cast<int64_t>(2 * n));
    for (float& value : logits) value = std::min(value, 3.0F);
    logits[n / 2] = logits[n - 1] = 5;  // the first of equals
    logits[n + n / 3] = 4;
    const auto got = Draw(backend, logits, {0.999F, 0.0F}, 0);
    report.Equal(got, {static_cast<int32_t>(n / 2), static_cast<int32_t>(n / 3)}, "greedy");
  }
}

// Evenly spread numbers draw each token in proportion to its probability, in the order of tokens.
void Distribution(Backend& backend, Report& report) {
  const Floats row = {0.5F, -1.0F, 2.0F, 0.0F, 1.0F};
  const float temperature = 0.7F;
  const size_t draws = 400;
  Floats logits;
  Floats uniform;
  for (size_t i = 0; i < draws; ++i) {
    logits.insert(logits.end(), row.begin(), row.end());
    uniform.push_back((static_cast<float>(i) + 0.5F) / static_cast<float>(draws));
  }
  const auto got = Draw(backend, logits, uniform, temperature);
  Doubles counts(row.size());
  double total = 0;
  for (const float z : row) total += std::exp(double{z} / double{temperature});
  for (size_t i = 0; i < draws; ++i) {
    report.True(i == 0 || got[i - 1] <= got[i], "tokens ascend with the number");
    if (got[i] >= 0 && got[i] < 5) ++counts[static_cast<size_t>(got[i])];
  }
  for (size_t t = 0; t < row.size(); ++t) {
    const double p = std::exp(double{row[t]} / double{temperature}) / total;
    report.Close(counts[t] / static_cast<double>(draws), p, 1.1 / static_cast<double>(draws),
                 "share of token " + std::to_string(t));
  }
}

// The drawn token's cumulative range holds the number, up to rounding, on any size.
void InRange(Backend& backend, Report& report) {
  std::mt19937 random(2);
  std::uniform_real_distribution<float> real(0, 1);
  for (const size_t n : {1U, 31U, 32U, 33U, 257U, 1024U, 5003U}) {
    const size_t rows = 20;
    const Floats logits = RandomFloats(random, static_cast<int64_t>(rows * n), 2);
    Floats uniform = {0.0F, 0.99999994F};
    while (uniform.size() < rows) uniform.push_back(real(random));
    const auto got = Draw(backend, logits, uniform, 1.3F);
    for (size_t r = 0; r < rows; ++r) {
      if (got[r] < 0 || got[r] >= static_cast<int32_t>(n)) {
        report.True(false, "not a token: " + std::to_string(got[r]));
        continue;
      }
      double below = 0;
      double total = 0;
      for (size_t i = 0; i < n; ++i) {
        const double weight = std::exp(double{logits[r * n + i]} / double{1.3F});
        total += weight;
        if (i < static_cast<size_t>(got[r])) below += weight;
      }
      const double own =
          std::exp(double{logits[r * n + static_cast<size_t>(got[r])]} / double{1.3F});
      const double u = double{uniform[r]};
      report.True(below / total <= u + 1e-5 && u <= (below + own) / total + 1e-5,
                  "row " + std::to_string(r) + " of " + std::to_string(n));
    }
  }
}

}  // namespace

std::vector<Case> SampleCases() {
  return {Case{"SampleGreedy", Greedy}, Case{"SampleDistribution", Distribution},
          Case{"SampleInRange", InRange}};
}

}  // namespace signum::ops
