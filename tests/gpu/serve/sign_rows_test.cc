#include "gpu/ops/sign_rows.h"

#include <gtest/gtest.h>

#include <cmath>

#include "gpu/kernels/scalar.h"
#include "tests/gpu/codec_support.h"

namespace signum::ops {
namespace {

// A plane [n, k] and rows of x for it, at random.
struct Case {
  int64_t m, n, k;
  std::vector<float> x = RandomValues(static_cast<size_t>(m * k), 1, 1);
  std::vector<float> scales = RandomValues(static_cast<size_t>(n), 2, 1);
  std::vector<uint8_t> sign = Bits(3), mask = Bits(4);

  std::vector<uint8_t> Bits(uint32_t random) const {
    std::vector<uint8_t> bits(static_cast<size_t>(n) * kernels::BitBytes(static_cast<size_t>(k)));
    for (uint8_t& byte : bits) {
      byte = static_cast<uint8_t>((random = random * 1664525 + 1013904223) >> 24);
    }
    return bits;
  }
  SignPlane Plane(bool masked, bool one_scale) const {
    return {sign.data(), masked ? mask.data() : nullptr, scales.data(), nullptr, one_scale};
  }
  // Rows [first, m) of x alone, added to ones.
  std::vector<float> Run(const SignPlane& plane, int64_t first = 0) const {
    std::vector<float> y(static_cast<size_t>((m - first) * n), 1);
    SignRows({plane, x.data() + first * k, y.data(), m - first, n, k, k, n});
    return y;
  }
  struct Sum {
    double value = 0;
    double rounding = 0;  // a last place of what the terms' sizes add up to: each order stays below
  };
  Sum Expected(const SignPlane& plane, int64_t b, int64_t j) const {
    const size_t row = static_cast<size_t>(j) * kernels::BitBytes(static_cast<size_t>(k));
    double sum = 0, size = 0;
    for (int64_t i = 0; i < k; ++i) {
      const auto at = static_cast<size_t>(i);
      if (plane.mask != nullptr && !kernels::TestBit(plane.mask + row, at)) continue;
      const double value = x[static_cast<size_t>(b * k + i)];
      sum += kernels::TestBit(plane.sign + row, at) ? value : -value;
      size += std::abs(value);
    }
    const double scale = plane.row[plane.one_row_scale ? 0 : j];
    return {1 + sum * scale, std::ldexp(1 + size * std::abs(scale), -23)};
  }
};

TEST(SignRows, AddsTheSignsShare) {
  for (const int64_t k : {1, 7, 64, 200, 1091}) {
    const Case c{7, 11, k};
    for (const bool masked : {false, true}) {
      for (const bool one_scale : {false, true}) {
        const SignPlane plane = c.Plane(masked, one_scale);
        const auto y = c.Run(plane);
        for (int64_t b = 0; b < c.m; ++b) {
          for (int64_t j = 0; j < c.n; ++j) {
            const Case::Sum expected = c.Expected(plane, b, j);
            EXPECT_NEAR(y[static_cast<size_t>(b * c.n + j)], expected.value, expected.rounding)
                << b << ", " << j << " of " << k;
          }
        }
      }
    }
  }
}

TEST(SignRows, ARowsBitsDependOnNoOtherRow) {
  for (const int64_t k : {33, 517}) {
    const Case c{9, 21, k};
    for (const bool masked : {false, true}) {
      const SignPlane plane = c.Plane(masked, false);
      const auto together = c.Run(plane);
      for (int64_t first = 1; first < c.m; ++first) {  // any place in any batch
        EXPECT_EQ(c.Run(plane, first),
                  std::vector<float>(together.begin() + first * c.n, together.end()));
      }
      for (int64_t j = 0; j < c.n; ++j) {  // any row of the plane alone
        const size_t row = static_cast<size_t>(j) * kernels::BitBytes(static_cast<size_t>(k));
        const SignPlane one{plane.sign + row, masked ? plane.mask + row : nullptr, plane.row + j,
                            nullptr, false};
        std::vector<float> y(static_cast<size_t>(c.m), 1);
        SignRows({one, c.x.data(), y.data(), c.m, 1, k, k, 1});
        for (int64_t b = 0; b < c.m; ++b) {
          EXPECT_EQ(y[static_cast<size_t>(b)], together[static_cast<size_t>(b * c.n + j)]);
        }
      }
    }
  }
}

// A large value that all rows have does not hide the small ones: twice a part less the whole is as
// good as adding and subtracting.
TEST(SignRows, AnOutlierCostsNoMoreThanItsRounding) {
  Case c{1, 16, 1024};
  c.x[100] = 4096;
  const SignPlane plane = c.Plane(false, true);
  const auto y = c.Run(plane);
  for (int64_t j = 0; j < c.n; ++j) {
    EXPECT_NEAR(y[static_cast<size_t>(j)], c.Expected(plane, 0, j).value,
                std::abs(c.scales[0]) * 4096 * 16 * 0x1p-24);
  }
}

}  // namespace
}  // namespace signum::ops
