#include "gpu/tall_matrix.h"

#include <cmath>

#include "gpu/kernels/symmetric_eigen.h"

namespace signum {
namespace {

constexpr double kNegligible = 1e-10;  // of the largest eigenvalue

TallMatrix OrthonormalOnce(const TallMatrix& m) {
  const uint64_t k = m.columns;
  const kernels::Eigen eigen = kernels::SymmetricEigen(Gram(m), k, true);
  std::vector<double> scaled(k * k);
  for (uint64_t c = 0; c < k; ++c) {
    const bool kept = eigen.values[c] > kNegligible * eigen.values[0] && eigen.values[c] > 0;
    const double factor = kept ? 1 / std::sqrt(eigen.values[c]) : 0;
    for (uint64_t i = 0; i < k; ++i) scaled[i * k + c] = eigen.vectors[i * k + c] * factor;
  }
  return Times(m, scaled, k);
}

// SplitMix64's output for a counter.
uint64_t Mix(uint64_t x) {
  x = (x + 1) * 0x9e3779b97f4a7c15U;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

}  // namespace

std::vector<double> Gram(const TallMatrix& m) {
  const uint64_t k = m.columns;
  std::vector<double> gram(k * k);
  for (uint64_t i = 0; i < m.rows; ++i) {
    const float* row = m.Row(i);
    for (uint64_t a = 0; a < k; ++a) {
      const double x = static_cast<double>(row[a]);
      for (uint64_t b = a; b < k; ++b) gram[a * k + b] += x * static_cast<double>(row[b]);
    }
  }
  return gram;
}

TallMatrix Times(const TallMatrix& m, const std::vector<double>& f, uint64_t k) {
  TallMatrix out(m.rows, k);
  std::vector<double> sums(k);
  for (uint64_t i = 0; i < m.rows; ++i) {
    std::fill(sums.begin(), sums.end(), 0.0);
    for (uint64_t a = 0; a < m.columns; ++a) {
      const double x = static_cast<double>(m.Row(i)[a]);
      for (uint64_t c = 0; c < k; ++c) sums[c] += x * f[a * k + c];
    }
    for (uint64_t c = 0; c < k; ++c) out.Row(i)[c] = static_cast<float>(sums[c]);
  }
  return out;
}

TallMatrix Orthonormal(const TallMatrix& m) { return OrthonormalOnce(OrthonormalOnce(m)); }

TallMatrix RandomSigns(uint64_t rows, uint64_t columns) {
  TallMatrix out(rows, columns);
  for (uint64_t i = 0; i < out.values.size(); ++i) {
    const bool plus = (Mix(i / 64) >> (i % 64)) & 1;
    out.values[i] = plus ? 1.0F : -1.0F;
  }
  return out;
}

}  // namespace signum
