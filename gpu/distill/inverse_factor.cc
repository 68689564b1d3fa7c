#include "gpu/distill/inverse_factor.h"

#include <algorithm>
#include <cmath>

#include "gpu/ops/matmul.h"

namespace signum {
namespace {

constexpr int64_t kBlock = 64;

// Row-major n × n.
struct Square {
  std::vector<float> values;
  int64_t n;

  Square(int64_t size) : values(static_cast<size_t>(size * size)), n(size) {}
  float* At(int64_t row, int64_t column) { return values.data() + row * n + column; }
};

// L of A = L Lᵀ for the m × m block at (at, at), in place; false where A is not positive definite.
bool FactorDiagonal(Square& a, int64_t at, int64_t m) {
  for (int64_t j = 0; j < m; ++j) {
    float* row = a.At(at + j, at);
    for (int64_t i = 0; i <= j; ++i) {
      const float* other = a.At(at + i, at);
      double sum = double{row[i]};
      for (int64_t k = 0; k < i; ++k) sum -= double{row[k]} * double{other[k]};
      if (i < j) {
        row[i] = static_cast<float>(sum / double{other[i]});
      } else if (sum > 0 && std::isfinite(sum)) {
        row[j] = static_cast<float>(std::sqrt(sum));
      } else {
        return false;
      }
    }
    std::fill(row + j + 1, row + m, 0.0F);
  }
  return true;
}

// X of X Lᵀ = A for the rows below a factored block, in place.
void SolvePanel(Square& a, int64_t at, int64_t m) {
  for (int64_t r = at + m; r < a.n; ++r) {
    float* row = a.At(r, at);
    for (int64_t j = 0; j < m; ++j) {
      const float* l = a.At(at + j, at);
      double sum = double{row[j]};
      for (int64_t k = 0; k < j; ++k) sum -= double{row[k]} * double{l[k]};
      row[j] = static_cast<float>(sum / double{l[j]});
    }
  }
}

// The rest less the panel's product with itself.
void UpdateRest(Square& a, int64_t at, int64_t m) {
  const int64_t rest = a.n - at - m;
  if (rest == 0) return;
  std::vector<float> negative(static_cast<size_t>(rest * m));
  for (int64_t r = 0; r < rest; ++r) {
    const float* row = a.At(at + m + r, at);
    for (int64_t j = 0; j < m; ++j) negative[static_cast<size_t>(r * m + j)] = -row[j];
  }
  ops::MatMul({negative.data(), a.At(at + m, at), a.At(at + m, at + m), rest, rest, m, m, a.n, a.n,
               false, true, true});
}

bool Factor(Square& a) {
  for (int64_t at = 0; at < a.n; at += kBlock) {
    const int64_t m = std::min(kBlock, a.n - at);
    if (!FactorDiagonal(a, at, m)) return false;
    SolvePanel(a, at, m);
    UpdateRest(a, at, m);
  }
  return true;
}

// The inverse of the m × m lower triangle of l at (at, at), into x there.
void InvertDiagonal(Square& l, Square& x, int64_t at, int64_t m) {
  for (int64_t j = 0; j < m; ++j) {
    for (int64_t i = j; i < m; ++i) {
      const float* row = l.At(at + i, at);
      double sum = i == j ? 1.0 : 0.0;
      for (int64_t k = j; k < i; ++k) sum -= double{row[k]} * double{*x.At(at + k, at + j)};
      *x.At(at + i, at + j) = static_cast<float>(sum / double{row[i]});
    }
  }
}

// L⁻¹, a block of rows at a time: X_I = -L_II⁻¹ (L_I,<I X_<I).
Square Invert(Square& l) {
  Square x(l.n);
  for (int64_t at = 0; at < l.n; at += kBlock) {
    const int64_t m = std::min(kBlock, l.n - at);
    InvertDiagonal(l, x, at, m);
    if (at == 0) continue;
    std::vector<float> product(static_cast<size_t>(m * at));
    ops::MatMul(
        {l.At(at, 0), x.At(0, 0), product.data(), m, at, at, l.n, l.n, at, false, false, false});
    for (float& value : product) value = -value;
    ops::MatMul(
        {x.At(at, at), product.data(), x.At(at, 0), m, at, m, l.n, at, l.n, false, false, false});
  }
  return x;
}

}  // namespace

// With the order of rows and columns reversed, H's lower factor L gives H = R Rᵀ with an upper R,
// and U = R⁻¹.
Result<std::vector<float>> InverseFactor(const std::vector<float>& h, int64_t n, double damping) {
  Square reversed(n);
  std::reverse_copy(h.begin(), h.end(), reversed.values.begin());
  for (int64_t i = 0; i < n; ++i) *reversed.At(i, i) += static_cast<float>(damping);
  if (!Factor(reversed)) {
    return Fail(Errc::kUnusable, "not_positive",
                "the calibration activations' second moment has no inverse");
  }
  Square inverse = Invert(reversed);
  std::reverse(inverse.values.begin(), inverse.values.end());
  return std::move(inverse.values);
}

}  // namespace signum
