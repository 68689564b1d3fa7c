#include "gpu/ops/rms_norm.h"

#include <cmath>

#include "tests/gpu/ops/cases.h"

namespace signum::ops {
namespace {

constexpr double kEps = 1e-5;

// y of x [rows, n], in double.
Doubles Norm(const Doubles& x, const Doubles& w) {
  const size_t n = w.size();
  Doubles y(x.size());
  for (size_t r = 0; r < x.size() / n; ++r) {
    double sum = 0;
    for (size_t i = 0; i < n; ++i) sum += x[r * n + i] * x[r * n + i];
    const double rms = std::sqrt(sum / static_cast<double>(n) + kEps);
    for (size_t i = 0; i < n; ++i) y[r * n + i] = x[r * n + i] / rms * w[i];
  }
  return y;
}

void Forward(Backend& backend, Report& report) {
  std::mt19937 random(1);
  for (const int64_t n : {1, 7, 32, 64, 255, 256, 257, 1000, 4096}) {
    const int64_t rows = 1 + n % 5;
    const Floats x = RandomFloats(random, rows * n, 3);
    const Floats w = RandomFloats(random, n);
    const Doubles expected = Norm(ToDoubles(x), ToDoubles(w));
    const OnDevice<float> on_x(backend, x);
    const OnDevice<float> on_w(backend, w);
    const OnDevice<float> y(backend, x.size());
    const OnDevice<float> inverse(backend, static_cast<size_t>(rows));
    RmsNormArgs args{
        on_x.data(), on_w.data(), y.data(), inverse.data(), rows, n, static_cast<float>(kEps)};
    backend.RmsNorm(args);
    report.Near(y.Get(), expected, 1e-6, "n " + std::to_string(n));
    args.y = on_x.data();
    backend.RmsNorm(args);
    report.Near(on_x.Get(), expected, 1e-6, "in place, n " + std::to_string(n));
  }
}

// dx written, in place over dy, and added to what is there.
void Backward(Backend& backend, Report& report) {
  std::mt19937 random(2);
  for (const int64_t n : {1, 5, 33, 64, 300}) {
    const int64_t rows = 3;
    const Floats x = RandomFloats(random, rows * n);
    const Floats w = RandomFloats(random, n);
    const Floats dy = RandomFloats(random, rows * n);
    const Doubles dw = ToDoubles(w);
    const Doubles ddy = ToDoubles(dy);
    const Doubles expected =
        Numeric([&](const Doubles& at) { return Inner(Norm(at, dw), ddy); }, ToDoubles(x));
    const OnDevice<float> on_x(backend, x);
    const OnDevice<float> on_w(backend, w);
    const OnDevice<float> on_dy(backend, dy);
    const OnDevice<float> y(backend, x.size());
    const OnDevice<float> dx(backend, x.size());
    const OnDevice<float> inverse(backend, static_cast<size_t>(rows));
    backend.RmsNorm(
        {on_x.data(), on_w.data(), y.data(), inverse.data(), rows, n, static_cast<float>(kEps)});
    RmsNormBackwardArgs args{on_dy.data(), on_x.data(), on_w.data(), inverse.data(),
                             dx.data(),    rows,        n,           false};
    // n = 1: a gradient that is nearly 0 (the norm hides x), so errors are relative to dy's size.
    const double tolerance = n == 1 ? 2e-2 : 3e-6;
    backend.RmsNormBackward(args);
    report.Near(dx.Get(), expected, tolerance, "n " + std::to_string(n));
    args.accumulate = true;
    backend.RmsNormBackward(args);
    Doubles twice = expected;
    for (double& value : twice) value *= 2;
    report.Near(dx.Get(), twice, tolerance, "accumulated, n " + std::to_string(n));
    args.accumulate = false;
    args.dx = on_dy.data();
    backend.RmsNormBackward(args);
    report.Near(on_dy.Get(), expected, tolerance, "in place, n " + std::to_string(n));
  }
}

}  // namespace

std::vector<Case> RmsNormCases() {
  return {Case{"RmsNormForward", Forward}, Case{"RmsNormBackward", Backward}};
}

}  // namespace signum::ops
