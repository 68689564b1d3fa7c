#include "gpu/ops/row_product.h"

#include <gtest/gtest.h>

#include "gpu/kernels/convert.h"
#include "tests/gpu/codec_support.h"

namespace signum::ops {
namespace {

struct Shape {
  int64_t m, n, k;
};

std::vector<float> Product(const std::vector<float>& x, const std::vector<float>& w,
                           const Shape& s) {
  std::vector<float> y(static_cast<size_t>(s.m * s.n));
  RowProduct({x.data(), w.data(), y.data(), s.m, s.n, s.k, s.k, s.k, s.n, false});
  return y;
}

std::vector<float> Random(int64_t n, uint64_t seed) {
  return RandomValues(static_cast<size_t>(n), seed, 1);
}

TEST(RowProduct, IsTheProduct) {
  for (const Shape& s : {Shape{1, 1, 1}, Shape{3, 5, 7}, Shape{9, 17, 192}, Shape{4, 8, 33}}) {
    const auto x = Random(s.m * s.k, 1);
    const auto w = Random(s.n * s.k, 2);
    const auto y = Product(x, w, s);
    for (int64_t b = 0; b < s.m; ++b) {
      for (int64_t j = 0; j < s.n; ++j) {
        double sum = 0;
        for (int64_t i = 0; i < s.k; ++i) {
          sum += double{x[static_cast<size_t>(b * s.k + i)]} *
                 double{w[static_cast<size_t>(j * s.k + i)]};
        }
        EXPECT_NEAR(y[static_cast<size_t>(b * s.n + j)], sum, 1e-4);
      }
    }
  }
}

TEST(RowProduct, ARowsBitsDependOnNoOtherRow) {
  for (const int64_t k : {1, 31, 192, 517}) {
    const Shape all{11, 23, k};
    const auto x = Random(all.m * k, 3);
    const auto w = Random(all.n * k, 4);
    const auto together = Product(x, w, all);
    for (int64_t m = 1; m <= all.m; ++m) {  // any place in any batch
      const int64_t first = all.m - m;
      const std::vector<float> some(x.begin() + first * k, x.end());
      const auto y = Product(some, w, {m, all.n, k});
      EXPECT_EQ(y, std::vector<float>(together.begin() + first * all.n, together.end()));
    }
    for (int64_t j = 0; j < all.n; ++j) {  // any row of the weight alone
      const std::vector<float> row(w.begin() + j * k, w.begin() + (j + 1) * k);
      const auto y = Product(x, row, {all.m, 1, k});
      for (int64_t b = 0; b < all.m; ++b) {
        EXPECT_EQ(y[static_cast<size_t>(b)], together[static_cast<size_t>(b * all.n + j)]);
      }
    }
  }
}

TEST(RowProduct, Accumulates) {
  const std::vector<float> x{2, 3};
  const std::vector<float> w{10, 100};
  std::vector<float> y{1};
  RowProduct({x.data(), w.data(), y.data(), 1, 1, 2, 2, 2, 1, true});
  EXPECT_EQ(y[0], 321);
}

// Weights of two bytes are converted as they are read, or first where many rows of x read them; a
// block of columns ends at 1024.
TEST(RowProduct, IsThatOfTheWeightsAsFloats) {
  for (const auto type : {kernels::Element::kBF16, kernels::Element::kF16}) {
    for (const int64_t k : {5, 1024, 2085}) {
      constexpr int64_t kRows = 51;
      const auto values = Random(kRows * k, 5);
      std::vector<uint16_t> stored(values.size());
      std::vector<float> w(values.size());
      kernels::FromFloat(values.data(), values.size(), {type, stored.data()});
      kernels::ToFloat({type, stored.data()}, w.size(), w.data());
      for (const int64_t m : {1, 2, 7, 24, 31}) {
        const auto x = Random(m * k, 6);
        std::vector<float> y(static_cast<size_t>(m * kRows));
        RowProduct({x.data(), stored.data(), y.data(), m, kRows, k, k, k, kRows, false, type});
        EXPECT_EQ(y, Product(x, w, {m, kRows, k})) << m << " x " << k;
        const std::vector<float> first(x.begin(), x.begin() + k);
        EXPECT_EQ(std::vector<float>(y.begin(), y.begin() + kRows),
                  Product(first, w, {1, kRows, k}));
      }
    }
  }
}

TEST(RowProduct, OfNoColumnsIsZero) {
  std::vector<float> y{7};
  RowProduct({nullptr, nullptr, y.data(), 1, 1, 0, 0, 0, 1, false});
  EXPECT_EQ(y[0], 0);
}

}  // namespace
}  // namespace signum::ops
