#include "gpu/kernels/row_col_fit.h"

#include <gtest/gtest.h>

#include <cmath>

#include "gpu/kernels/abs_dot.h"
#include "gpu/kernels/col_accumulate.h"
#include "gpu/kernels/lanes.h"
#include "tests/gpu/kernels/kernel_support.h"

namespace signum::kernels {
namespace {

struct Matrix {
  uint64_t n = 0;
  size_t k = 0;
  TestPair pair;

  double Abs(uint64_t i, size_t j) const {
    const size_t e = i * k + j;
    return std::fabs(static_cast<double>(pair.fine[e] - pair.base[e]));
  }
};

RowColFit Fitted(const Matrix& m, bool changed_only, int passes) {
  RowColFit fit(m.n, m.k, changed_only, 0.01);
  std::vector<float> dot(m.k);
  std::vector<float> norm(m.k);
  for (int pass = 0; pass < passes; ++pass) {
    fit.BeginPass();
    for (uint64_t first = 0; first < m.n; first += kGroupRows) {
      const uint64_t rows = std::min<uint64_t>(kGroupRows, m.n - first);
      fit.FitRows({Element::kF32, m.pair.base.data() + first * m.k},
                  {Element::kF32, m.pair.fine.data() + first * m.k}, first, rows, dot.data(),
                  norm.data());
      fit.Commit(dot.data(), norm.data());
    }
    fit.EndPass();
  }
  fit.Finish();
  return fit;
}

// The same updates, naively, in double.
struct NaiveFit {
  std::vector<double> r, c;
};
NaiveFit Naive(const Matrix& m, bool changed_only, int passes) {
  NaiveFit fit{std::vector<double>(m.n), std::vector<double>(m.k, 1)};
  for (int pass = 0; pass < passes; ++pass) {
    for (uint64_t i = 0; i < m.n; ++i) {
      double dot = 0;
      double norm = 0;
      for (size_t j = 0; j < m.k; ++j) {
        dot += m.Abs(i, j) * fit.c[j];
        if (!changed_only || m.Abs(i, j) != 0) norm += fit.c[j] * fit.c[j];
      }
      fit.r[i] = norm > 0 ? dot / norm : 0;
    }
    for (size_t j = 0; j < m.k; ++j) {
      double dot = 0;
      double norm = 0;
      for (uint64_t i = 0; i < m.n; ++i) {
        dot += m.Abs(i, j) * fit.r[i];
        if (!changed_only || m.Abs(i, j) != 0) norm += fit.r[i] * fit.r[i];
      }
      fit.c[j] = norm > 0 ? dot / norm : 0;
    }
  }
  return fit;
}

double Residual(const Matrix& m, bool changed_only, auto scale) {
  double sum = 0;
  for (uint64_t i = 0; i < m.n; ++i) {
    for (size_t j = 0; j < m.k; ++j) {
      if (changed_only && m.Abs(i, j) == 0) continue;
      sum += std::pow(m.Abs(i, j) - scale(i, j), 2);
    }
  }
  return sum;
}

class RowColFitTest : public testing::TestWithParam<bool> {};

TEST_P(RowColFitTest, EqualsTheNaiveUpdates) {
  const bool changed_only = GetParam();
  for (const auto& [n, k] :
       {std::pair<uint64_t, size_t>{3, 3}, {1, 300}, {300, 1}, {37, 91}, {64, 64}, {33, 4100}}) {
    const Matrix m{n, k, RandomPair(n * k, n + k, changed_only ? 0.7 : 0.02)};
    const RowColFit fit = Fitted(m, changed_only, 2);
    const NaiveFit naive = Naive(m, changed_only, 2);
    double mean = 0;
    for (float c : fit.col_scales()) mean += static_cast<double>(c) / static_cast<double>(k);
    EXPECT_NEAR(mean, 1, 1e-5);
    for (uint64_t i = 0; i < n; i += 7) {
      for (size_t j = 0; j < k; j += 13) {
        const double got = static_cast<double>(fit.row_scales()[i] * fit.col_scales()[j]);
        EXPECT_NEAR(got, naive.r[i] * naive.c[j], 2e-5 * naive.r[i] * naive.c[j] + 1e-12);
      }
    }
  }
}

TEST_P(RowColFitTest, BeatsRowScalesAndOnePass) {
  const bool changed_only = GetParam();
  Matrix m{60, 80, RandomPair(60 * 80, 5, changed_only ? 0.6 : 0)};
  for (uint64_t i = 0; i < m.n; ++i) {  // columns that change by different amounts
    for (size_t j = 0; j < m.k; ++j) {
      float& fine = m.pair.fine[i * m.k + j];
      const float base = m.pair.base[i * m.k + j];
      fine = base + (fine - base) * static_cast<float>(1 + j % 5);
    }
  }
  const auto residual = [&](int passes) {
    const RowColFit fit = Fitted(m, changed_only, passes);
    return Residual(m, changed_only, [&](uint64_t i, size_t j) {
      return static_cast<double>(fit.row_scales()[i] * fit.col_scales()[j]);
    });
  };
  const double by_row = Residual(m, changed_only, [&](uint64_t i, size_t) {
    double sum = 0;
    double count = 0;
    for (size_t j = 0; j < m.k; ++j) {
      sum += m.Abs(i, j);
      count += !changed_only || m.Abs(i, j) != 0;
    }
    return sum / count;
  });
  EXPECT_LT(residual(1), 0.9 * by_row);
  EXPECT_LT(residual(2), residual(1));
  EXPECT_LT(residual(2), 1.001 * residual(20));
}

INSTANTIATE_TEST_SUITE_P(All, RowColFitTest, testing::Bool(),
                         [](const auto& test) { return test.param ? "changed" : "all"; });

TEST(RowColFit, UnchangedRowsAndColumnsGetZero) {
  Matrix m{20, 30, RandomPair(600, 9, 0)};
  for (size_t e = 0; e < 600; ++e) {
    if (e / 30 == 3 || e % 30 == 4) m.pair.fine[e] = m.pair.base[e];
  }
  for (bool changed_only : {false, true}) {
    const RowColFit fit = Fitted(m, changed_only, 2);
    EXPECT_EQ(fit.row_scales()[3], 0);
    EXPECT_EQ(fit.col_scales()[4], 0);
    EXPECT_GT(fit.row_scales()[2], 0);
  }
}

// float32 products of the differences would underflow without the power of two.
TEST(RowColFit, TinyDifferences) {
  Matrix m{20, 30, RandomPair(600, 10, 0)};
  for (size_t e = 0; e < 600; ++e) {
    m.pair.base[e] = 0;
    m.pair.fine[e] = 1e-24F * (1 + m.pair.fine[e]);
  }
  RowColFit fit(m.n, m.k, false, 1e-24);
  std::vector<float> dot(m.k);
  fit.BeginPass();
  for (uint64_t first : {0U, 16U}) {
    fit.FitRows({Element::kF32, m.pair.base.data() + first * m.k},
                {Element::kF32, m.pair.fine.data() + first * m.k}, first, first == 0 ? 16 : 4,
                dot.data(), nullptr);
    fit.Commit(dot.data(), nullptr);
  }
  fit.EndPass();
  fit.Finish();
  EXPECT_NEAR(static_cast<double>(fit.row_scales()[5] * 1e24F), 1, 0.1);
  EXPECT_NEAR(static_cast<double>(fit.col_scales()[5]), 1, 0.1);
}

TEST(RowColFit, EveryImplementationGivesTheSameBits) {
  uint64_t seed = 0;
  for (size_t n : kLengths) {
    for (Element type : kElements) {
      const TestPair pair = RandomPair(n, ++seed, 0.4);
      const TestRow base(type, pair.base);
      const TestRow fine(seed % 3 == 0 ? Element::kF32 : type, pair.fine);
      std::vector<float> scale = RandomPair(n, seed + 1000, 0).base;
      for (bool changed : {false, true}) {
        const AbsDot expected =
            reference::AbsDotRow(base.get(), fine.get(), scale.data(), n, changed);
        std::vector<float> dot(n, 0.5F);
        std::vector<float> norm(n, 0.25F);
        reference::AccumulateColumns(base.get(), fine.get(), 0.3F, n, dot.data(),
                                     changed ? norm.data() : nullptr);
        ForEverySimd([&](const std::string& simd) {
          const AbsDot got = AbsDotRow(base.get(), fine.get(), scale.data(), n, changed);
          ASSERT_EQ(got.dot, expected.dot) << simd << " " << n;
          ASSERT_EQ(got.norm, expected.norm) << simd << " " << n;
          std::vector<float> got_dot(n, 0.5F);
          std::vector<float> got_norm(n, 0.25F);
          AccumulateColumns(base.get(), fine.get(), 0.3F, n, got_dot.data(),
                            changed ? got_norm.data() : nullptr);
          ASSERT_EQ(got_dot, dot) << simd << " " << n;
          ASSERT_EQ(got_norm, norm) << simd << " " << n;
        });
      }
    }
  }
}

}  // namespace
}  // namespace signum::kernels
