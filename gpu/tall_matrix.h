#pragma once

#include <cstdint>
#include <vector>

namespace signum {

// A float32 matrix of many rows and few columns, row-major: the bases and projections of a low-rank
// search. Sums over rows are in double, rows ascending, so that every machine gets the same bits.
struct TallMatrix {
  uint64_t rows = 0;
  uint64_t columns = 0;
  std::vector<float> values;

  TallMatrix() = default;
  TallMatrix(uint64_t n, uint64_t k) : rows(n), columns(k), values(n * k) {}
  float* Row(uint64_t i) { return values.data() + i * columns; }
  const float* Row(uint64_t i) const { return values.data() + i * columns; }
};

// Mᵀ M, columns x columns.
std::vector<double> Gram(const TallMatrix& m);
// M F, with F columns x k (row-major).
TallMatrix Times(const TallMatrix& m, const std::vector<double>& f, uint64_t k);
// An orthonormal basis of the columns' span: M V Λ^(-1/2) of the eigenvectors V of the Gram matrix,
// twice, without directions under a hundred-thousandth of the largest. Columns that would be left
// out are 0.
TallMatrix Orthonormal(const TallMatrix& m);
// ±1, the same everywhere.
TallMatrix RandomSigns(uint64_t rows, uint64_t columns);

}  // namespace signum
