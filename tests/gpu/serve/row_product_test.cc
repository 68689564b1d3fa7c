#include "gpu/ops/row_product.h"

#include <gtest/gtest.h>

#include <bit>

#include "gpu/ops/sign_grad_row.h"
#include "gpu/ops/tenant_product.h"
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

// Columns are scaled before the signs; the bits are those of scaling after them.
TEST(TenantProduct, ScalingColumnsFirstChangesNoBit) {
  constexpr int64_t kRows = 7, kColumns = 203;
  std::vector<float> x(kColumns), scales(kRows + kColumns);
  std::vector<uint8_t> sign(kRows * kernels::BitBytes(kColumns));
  uint32_t random = 1;
  const auto next = [&] { return (random = random * 1664525 + 1013904223) >> 8; };
  for (float& value : x) value = static_cast<float>(next() % 20011) / 9973 - 1;
  for (float& value : scales) value = static_cast<float>(next() % 20011) / 9973 - 1;
  for (uint8_t& bits : sign) bits = static_cast<uint8_t>(next());
  x[3] = -0.0F;
  const SignPlane plane{sign.data(), nullptr, scales.data(), scales.data() + kRows, false};
  const int32_t tenant = 0;
  std::vector<float> y(kRows);
  TenantProductArgs args;
  args.deltas = &plane;
  args.tenants = &tenant;
  args.x = x.data();
  args.y = y.data();
  args.m = 1;
  args.rows = kRows;
  args.columns = kColumns;
  TenantProduct(args);
  for (int64_t row = 0; row < kRows; ++row) {
    const kernels::SignScales after{
        sign.data() + row * static_cast<int64_t>(kernels::BitBytes(kColumns)), nullptr,
        scales[static_cast<size_t>(row)], plane.col};
    const float expected = plane.row[row] * SignGradRow(x.data(), after, kColumns, nullptr);
    EXPECT_EQ(std::bit_cast<uint32_t>(y[static_cast<size_t>(row)]),
              std::bit_cast<uint32_t>(0.0F + expected));
  }
}

}  // namespace
}  // namespace signum::ops
