#include "gpu/kernels/symmetric_eigen.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace signum::kernels {
namespace {

constexpr int kMaxSweeps = 40;
constexpr double kConverged = 1e-26;  // squares beside the diagonal, as a share of all

struct Rotation {
  double c, s;
};

// Makes a_pq 0.
Rotation Annihilate(double app, double aqq, double apq) {
  const double theta = (aqq - app) / (2 * apq);
  const double t = (theta < 0 ? -1.0 : 1.0) / (std::fabs(theta) + std::sqrt(theta * theta + 1));
  const double c = 1 / std::sqrt(t * t + 1);
  return {c, t * c};
}

void RotateRows(double* p, double* q, size_t n, Rotation r) {
  for (size_t k = 0; k < n; ++k) {
    const double x = p[k];
    const double y = q[k];
    p[k] = r.c * x - r.s * y;
    q[k] = r.s * x + r.c * y;
  }
}

void RotateColumns(double* matrix, size_t n, size_t p, size_t q, Rotation r) {
  for (size_t k = 0; k < n; ++k) {
    double* row = matrix + k * n;
    const double x = row[p];
    const double y = row[q];
    row[p] = r.c * x - r.s * y;
    row[q] = r.s * x + r.c * y;
  }
}

double OffDiagonal(const std::vector<double>& a, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = i + 1; j < n; ++j) sum += 2 * a[i * n + j] * a[i * n + j];
  }
  return sum;
}

}  // namespace

Eigen SymmetricEigen(std::vector<double> a, size_t n, bool vectors) {
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < i; ++j) a[i * n + j] = a[j * n + i];
  }
  std::vector<double> v(vectors ? n * n : 0);  // rows are eigenvectors
  for (size_t i = 0; vectors && i < n; ++i) v[i * n + i] = 1;
  double all = 0;
  for (double x : a) all += x * x;
  for (int sweep = 0; sweep < kMaxSweeps && OffDiagonal(a, n) > kConverged * all; ++sweep) {
    for (size_t p = 0; p < n; ++p) {
      for (size_t q = p + 1; q < n; ++q) {
        if (a[p * n + q] == 0) continue;
        const Rotation r = Annihilate(a[p * n + p], a[q * n + q], a[p * n + q]);
        RotateRows(a.data() + p * n, a.data() + q * n, n, r);
        RotateColumns(a.data(), n, p, q, r);
        if (vectors) RotateRows(v.data() + p * n, v.data() + q * n, n, r);
      }
    }
  }
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t x, size_t y) { return a[x * n + x] > a[y * n + y]; });
  Eigen out{std::vector<double>(n), std::vector<double>(v.size())};
  for (size_t k = 0; k < n; ++k) {
    out.values[k] = a[order[k] * n + order[k]];
    for (size_t i = 0; vectors && i < n; ++i) out.vectors[i * n + k] = v[order[k] * n + i];
  }
  return out;
}

}  // namespace signum::kernels
