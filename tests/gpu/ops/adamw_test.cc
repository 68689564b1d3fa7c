#include "gpu/ops/adamw.h"

#include <cmath>

#include "tests/gpu/ops/cases.h"

namespace signum::ops {
namespace {

// By hand: p = 1, g = 0.5 twice, rate 0.1, beta 0.9 and 0.99, decay 0.01.
// Step 1: m̂ = 0.5, v̂ = 0.25: p = 1 - 0.1 (1 + 0.01 · 1) = 0.899
// Step 2: m̂ = 0.5, v̂ = 0.25: p = 0.899 - 0.1 (1 + 0.01 · 0.899) = 0.798101
void ByHand(Backend& backend, Report& report) {
  const OnDevice<float> p(backend, Floats{1});
  const OnDevice<float> g(backend, Floats{0.5F});
  const OnDevice<float> m(backend, Floats{0});
  const OnDevice<float> v(backend, Floats{0});
  AdamwArgs args{p.data(), g.data(), m.data(), v.data(), 1, 1, 0.1F, 0.9F, 0.99F, 0, 0.01F};
  backend.Adamw(args);
  report.Close(double{p.Get()[0]}, 0.899, 1e-6, "step 1");
  report.Close(double{m.Get()[0]}, 0.05, 1e-7, "first moment");
  report.Close(double{v.Get()[0]}, 0.0025, 1e-7, "second moment");
  args.step = 2;
  backend.Adamw(args);
  report.Close(double{p.Get()[0]}, 0.798101, 1e-6, "step 2");
}

void ManySteps(Backend& backend, Report& report) {
  std::mt19937 random(1);
  const int64_t n = 1000;
  const Floats start = RandomFloats(random, n);
  const OnDevice<float> p(backend, start);
  const OnDevice<float> m(backend, Floats(n));
  const OnDevice<float> v(backend, Floats(n));
  Doubles dp = ToDoubles(start);
  Doubles dm(n);
  Doubles dv(n);
  for (int64_t step = 1; step <= 20; ++step) {
    const Floats gradient = RandomFloats(random, n);
    const OnDevice<float> g(backend, gradient);
    backend.Adamw(
        {p.data(), g.data(), m.data(), v.data(), n, step, 0.01F, 0.9F, 0.999F, 1e-8F, 0.1F});
    for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
      const double x = double{gradient[i]};
      dm[i] = 0.9 * dm[i] + 0.1 * x;
      dv[i] = 0.999 * dv[i] + 0.001 * x * x;
      const double mean = dm[i] / (1 - std::pow(0.9, static_cast<double>(step)));
      const double square = dv[i] / (1 - std::pow(0.999, static_cast<double>(step)));
      dp[i] -= 0.01 * (mean / (std::sqrt(square) + 1e-8) + 0.1 * dp[i]);
    }
  }
  report.Near(p.Get(), dp, 1e-5, "parameters after 20 steps");
}

}  // namespace

std::vector<Case> AdamwCases() {
  return {Case{"AdamwByHand", ByHand}, Case{"AdamwManySteps", ManySteps}};
}

}  // namespace signum::ops
