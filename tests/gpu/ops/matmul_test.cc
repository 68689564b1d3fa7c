#include "gpu/ops/matmul.h"

#include "tests/gpu/ops/cases.h"

namespace signum::ops {
namespace {

struct Product {
  int64_t m, n, k;
  bool ta, tb, accumulate;
};

// A matrix [rows, columns] of which each stored row has `pad` elements more.
struct Stored {
  int64_t ld;
  Floats values;
};
Stored RandomMatrix(std::mt19937& random, int64_t rows, int64_t columns, int64_t pad) {
  return {columns + pad, RandomFloats(random, rows * (columns + pad))};
}

Doubles Expected(const Product& p, const Stored& a, const Stored& b, const Stored& c) {
  Doubles out = ToDoubles(c.values);
  for (int64_t i = 0; i < p.m; ++i) {
    for (int64_t j = 0; j < p.n; ++j) {
      double sum = 0;
      for (int64_t l = 0; l < p.k; ++l) {
        const auto at_a = static_cast<size_t>(p.ta ? l * a.ld + i : i * a.ld + l);
        const auto at_b = static_cast<size_t>(p.tb ? j * b.ld + l : l * b.ld + j);
        sum += double{a.values[at_a]} * double{b.values[at_b]};
      }
      double& place = out[static_cast<size_t>(i * c.ld + j)];
      place = (p.accumulate ? place : 0.0) + sum;
    }
  }
  return out;
}

void Check(Backend& backend, Report& report, std::mt19937& random, const Product& p, int64_t pad) {
  const Stored a = RandomMatrix(random, p.ta ? p.k : p.m, p.ta ? p.m : p.k, pad);
  const Stored b = RandomMatrix(random, p.tb ? p.n : p.k, p.tb ? p.k : p.n, pad * 2);
  const Stored c = RandomMatrix(random, p.m, p.n, pad * 3);
  const OnDevice<float> on_a(backend, a.values);
  const OnDevice<float> on_b(backend, b.values);
  const OnDevice<float> on_c(backend, c.values);
  backend.MatMul({on_a.data(), on_b.data(), on_c.data(), p.m, p.n, p.k, a.ld, b.ld, c.ld, p.ta,
                  p.tb, p.accumulate});
  // What lies between the rows is part of the comparison: it must be left alone.
  report.Near(on_c.Get(), Expected(p, a, b, c), 3e-6,
              "m " + std::to_string(p.m) + " n " + std::to_string(p.n) + " k " +
                  std::to_string(p.k) + " ta " + std::to_string(p.ta) + " tb " +
                  std::to_string(p.tb) + " accumulate " + std::to_string(p.accumulate) + " pad " +
                  std::to_string(pad));
}

void EveryForm(Backend& backend, Report& report) {
  std::mt19937 random(1);
  const int64_t sizes[][3] = {{1, 1, 1},    {1, 64, 33}, {7, 1, 100},  {16, 32, 8},
                              {33, 65, 17}, {5, 3, 0},   {64, 48, 129}};
  for (const auto& size : sizes) {
    for (int form = 0; form < 8; ++form) {
      const Product p{size[0], size[1], size[2], (form & 1) != 0, (form & 2) != 0, (form & 4) != 0};
      Check(backend, report, random, p, 0);
      Check(backend, report, random, p, 3);
    }
  }
}

void NothingToDo(Backend& backend, Report& report) {
  std::mt19937 random(2);
  Check(backend, report, random, {0, 4, 3, false, false, false}, 1);
  Check(backend, report, random, {4, 0, 3, false, true, true}, 1);
  Check(backend, report, random, {0, 0, 0, true, false, false}, 1);
}

void LinearAndItsGradient(Backend& backend, Report& report) {
  std::mt19937 random(3);
  const int64_t m = 5;
  const int64_t n = 11;
  const int64_t k = 19;
  const Floats w = RandomFloats(random, n * k);
  const Floats x = RandomFloats(random, m * k);
  const Floats dy = RandomFloats(random, m * n);
  const Floats before = RandomFloats(random, m * k);
  const OnDevice<float> on_w(backend, w);
  const OnDevice<float> on_x(backend, x);
  const OnDevice<float> on_dy(backend, dy);
  const OnDevice<float> on_y(backend, static_cast<size_t>(m * n));
  const OnDevice<float> on_dx(backend, before);
  backend.MatMul(Linear(on_x.data(), on_w.data(), on_y.data(), m, n, k));
  backend.MatMul(LinearInputGrad(on_dy.data(), on_w.data(), on_dx.data(), m, n, k));
  const auto forward = [&](const Doubles& from) {
    return Expected({m, n, k, false, true, false}, {k, Floats(from.begin(), from.end())}, {k, w},
                    {n, Floats(static_cast<size_t>(m * n))});
  };
  report.Near(on_y.Get(), forward(ToDoubles(x)), 3e-6, "Linear");
  Doubles dx = ToDoubles(before);
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < k; ++j) {
      for (int64_t l = 0; l < n; ++l) {
        dx[static_cast<size_t>(i * k + j)] +=
            double{dy[static_cast<size_t>(i * n + l)]} * double{w[static_cast<size_t>(l * k + j)]};
      }
    }
  }
  report.Near(on_dx.Get(), dx, 3e-6, "LinearInputGrad");
}

}  // namespace

std::vector<Case> MatMulCases() {
  return {Case{"MatMulEveryForm", EveryForm}, Case{"MatMulNothingToDo", NothingToDo},
          Case{"MatMulLinearAndItsGradient", LinearAndItsGradient}};
}

}  // namespace signum::ops
