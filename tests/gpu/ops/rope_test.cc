#include "gpu/ops/rope.h"

#include <cmath>

#include "tests/gpu/ops/cases.h"

namespace signum::ops {
namespace {

struct Shape {
  int64_t rows, tokens, first, heads, head_dim;
};

double Angle(int64_t position, int64_t i, int64_t head_dim) {
  return static_cast<double>(position) *
         std::pow(10000.0, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
}

Doubles Turned(const Floats& x, const Shape& s) {
  Doubles out = ToDoubles(x);
  const int64_t half = s.head_dim / 2;
  for (int64_t r = 0; r < s.rows; ++r) {
    for (int64_t h = 0; h < s.heads; ++h) {
      for (int64_t i = 0; i < half; ++i) {
        const double angle = Angle(s.first + r % s.tokens, i, s.head_dim);
        const auto low = static_cast<size_t>((r * s.heads + h) * s.head_dim + i);
        const size_t high = low + static_cast<size_t>(half);
        const double a = out[low];
        const double b = out[high];
        out[low] = a * std::cos(angle) - b * std::sin(angle);
        out[high] = b * std::cos(angle) + a * std::sin(angle);
      }
    }
  }
  return out;
}

void TurnsAndBack(Backend& backend, Report& report) {
  std::mt19937 random(1);
  for (const Shape& s : {Shape{1, 1, 0, 1, 2}, Shape{12, 4, 3, 3, 8}, Shape{7, 7, 0, 2, 64},
                         Shape{6, 1, 9, 5, 34}, Shape{300, 100, 0, 4, 128}}) {
    const int64_t half = s.head_dim / 2;
    Floats cosines;
    Floats sines;
    for (int64_t p = 0; p < s.first + s.tokens; ++p) {
      for (int64_t i = 0; i < half; ++i) {
        cosines.push_back(static_cast<float>(std::cos(Angle(p, i, s.head_dim))));
        sines.push_back(static_cast<float>(std::sin(Angle(p, i, s.head_dim))));
      }
    }
    const Floats x = RandomFloats(random, s.rows * s.heads * s.head_dim);
    const OnDevice<float> on_x(backend, x);
    const OnDevice<float> on_cos(backend, cosines);
    const OnDevice<float> on_sin(backend, sines);
    RopeArgs args{on_x.data(), on_cos.data(), on_sin.data(), s.rows, s.tokens,
                  s.first,     s.heads,       s.head_dim,    false,  nullptr};
    const std::string what =
        "rows " + std::to_string(s.rows) + " dim " + std::to_string(s.head_dim);
    backend.Rope(args);
    report.Near(on_x.Get(), Turned(x, s), 1e-6, what);
    args.inverse = true;
    // The same positions, listed.
    std::vector<int32_t> positions;
    for (int64_t r = 0; r < s.rows; ++r) {
      positions.push_back(static_cast<int32_t>(s.first + r % s.tokens));
    }
    const OnDevice<int32_t> on_positions(backend, positions);
    args.positions = on_positions.data();
    backend.Rope(args);
    report.Near(on_x.Get(), ToDoubles(x), 1e-6, what + ", and back");
  }
}

}  // namespace

std::vector<Case> RopeCases() { return {Case{"RopeTurnsAndBack", TurnsAndBack}}; }

}  // namespace signum::ops
