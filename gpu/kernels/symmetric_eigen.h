#pragma once

#include <cstddef>
#include <vector>

namespace signum::kernels {

struct Eigen {
  std::vector<double> values;  // n, descending
  std::vector<double>
      vectors;  // n x n, row-major: column k belongs to values[k]; empty if not asked
};

// Of a symmetric n x n matrix (row-major; the upper half is read) by cyclic Jacobi rotations, in
// double: the same bits everywhere. About 6 n³ operations a sweep, under ten sweeps; for n up to a
// few hundred.
Eigen SymmetricEigen(std::vector<double> matrix, size_t n, bool vectors);

}  // namespace signum::kernels
