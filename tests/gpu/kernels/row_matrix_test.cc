#include "gpu/kernels/row_matrix.h"

#include <gtest/gtest.h>

#include <cmath>

#include "gpu/kernels/symmetric_eigen.h"
#include "tests/gpu/kernels/kernel_support.h"

namespace signum::kernels {
namespace {

TEST(RowMatrix, IsItsReferenceBitForBit) {
  for (size_t n : kLengths) {
    for (size_t rows : {size_t{0}, size_t{1}, size_t{5}, size_t{40}}) {
      const size_t stride = n + 3;
      const auto matrix = RandomPair(rows * stride, n + rows, 0).base;
      const auto row = RandomPair(rows, 7, 0).base;
      std::vector<float> expected(n);
      reference::RowTimesMatrix(row.data(), matrix.data(), rows, stride, n, expected.data());
      ForEverySimd([&](const std::string& simd) {
        std::vector<float> got(n, 5);
        RowTimesMatrix(row.data(), matrix.data(), rows, stride, n, got.data());
        EXPECT_EQ(got, expected) << simd << " " << n << " " << rows;
      });
    }
  }
}

TEST(RowMatrix, ReferenceIsTheProduct) {
  const std::vector<float> matrix = {1, 2, 3, 4, 5, 6};
  const std::vector<float> row = {10, 100};
  std::vector<float> out(2);
  reference::RowTimesMatrix(row.data(), matrix.data(), 2, 3, 2, out.data());
  EXPECT_EQ(out, (std::vector<float>{410, 520}));
}

TEST(RowMatrix, SumsAreAccurate) {
  for (size_t n : kLengths) {
    const TestPair pair = RandomPair(n, n, 0.5);
    double dot = 0;
    double distance = 0;
    for (size_t j = 0; j < n; ++j) {
      dot += static_cast<double>(pair.base[j]) * static_cast<double>(pair.fine[j]);
      distance += std::pow(static_cast<double>(pair.base[j] - pair.fine[j]), 2);
    }
    EXPECT_NEAR(Dot(pair.base.data(), pair.fine.data(), n), dot, 1e-5 * std::fabs(dot) + 1e-9);
    EXPECT_NEAR(SquaredDistance(pair.base.data(), pair.fine.data(), n), distance,
                1e-5 * distance + 1e-12);
  }
}

TEST(SymmetricEigen, GivesValuesDescendingAndTheirVectors) {
  const size_t n = 37;
  const auto values = RandomPair(n * n, 3, 0).base;
  std::vector<double> m(n * n);
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = i; j < n; ++j)
      m[i * n + j] = m[j * n + i] = static_cast<double>(values[i * n + j]);
  }
  const Eigen eigen = SymmetricEigen(m, n, true);
  double scale = 0;
  for (double x : m) scale = std::max(scale, std::fabs(x));
  for (size_t k = 0; k < n; ++k) {
    if (k > 0) {
      EXPECT_LE(eigen.values[k], eigen.values[k - 1]);
    }
    double norm = 0;
    for (size_t i = 0; i < n; ++i) {
      double product = 0;
      for (size_t j = 0; j < n; ++j) product += m[i * n + j] * eigen.vectors[j * n + k];
      EXPECT_NEAR(product, eigen.values[k] * eigen.vectors[i * n + k], 1e-9 * scale);
      norm += eigen.vectors[i * n + k] * eigen.vectors[i * n + k];
    }
    EXPECT_NEAR(norm, 1, 1e-12);
  }
  EXPECT_EQ(SymmetricEigen(m, n, false).values, eigen.values);
  EXPECT_EQ(SymmetricEigen(std::vector<double>(9), 3, false).values, std::vector<double>(3));
}

}  // namespace
}  // namespace signum::kernels
