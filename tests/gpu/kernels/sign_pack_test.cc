#include "gpu/kernels/sign_pack.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "gpu/kernels/scalar.h"
#include "gpu/kernels/simd.h"
#include "tests/gpu/kernels/kernel_support.h"

namespace signum::kernels {
namespace {

struct Packed {
  RowStats stats;
  std::vector<uint8_t> sign, mask;
};

template <class F>
Packed Pack(F function, ConstRow base, ConstRow fine, size_t k) {
  Packed out;
  out.sign.assign(BitBytes(k) + 1, 0xee);
  out.mask.assign(BitBytes(k) + 1, 0xee);
  out.stats = function(base, fine, k, out.sign.data(), out.mask.data());
  return out;
}

TEST(SignPack, SmallCaseByHand) {
  const std::vector<float> base = {1, 1, 1, 1, -2, 0, 0, 0, 0.5F, 3};
  const std::vector<float> fine = {2, 0, 1, 1.5F, -1, 0, -0.25F, 0, 0.25F, 4};
  // Δ: +1 -1 0 +.5 +1 0 -.25 0 | -.25 +1
  for (Element type : kElements) {
    const Packed got = Pack(SignPackRow, TestRow(type, base).get(), TestRow(type, fine).get(), 10);
    EXPECT_EQ(got.sign, (std::vector<uint8_t>{0b00011001, 0b10, 0xee}));
    EXPECT_EQ(got.mask, (std::vector<uint8_t>{0b01011011, 0b11, 0xee}));
    EXPECT_EQ(got.stats.zeros, 3U);
    EXPECT_EQ(got.stats.sum_abs, 5.0);
  }
}

TEST(SignPack, SumIsCloseToTheDoubleSum) {
  for (size_t n : kLengths) {
    const TestPair pair = RandomPair(n, n, 0.1);
    double sum = 0;
    for (size_t i = 0; i < n; ++i) {
      sum += std::fabs(static_cast<double>(pair.fine[i]) - static_cast<double>(pair.base[i]));
    }
    std::vector<uint8_t> sign(BitBytes(n));
    const RowStats stats = SignPackRow({Element::kF32, pair.base.data()},
                                       {Element::kF32, pair.fine.data()}, n, sign.data(), nullptr);
    EXPECT_NEAR(stats.sum_abs, sum, 1e-5 * sum) << n;
  }
}

TEST(SignPack, EveryImplementationGivesTheSameBits) {
  uint64_t seed = 0;
  for (size_t n : kLengths) {
    for (Element base_type : kElements) {
      for (Element fine_type : kElements) {
        const TestPair pair = RandomPair(n, ++seed, 0.3);
        const TestRow base(base_type, pair.base);
        const TestRow fine(fine_type, pair.fine);
        const Packed expected = Pack(reference::SignPackRow, base.get(), fine.get(), n);
        ForEverySimd([&](const std::string& simd) {
          const Packed got = Pack(SignPackRow, base.get(), fine.get(), n);
          ASSERT_EQ(got.sign, expected.sign) << simd << " " << n;
          ASSERT_EQ(got.mask, expected.mask) << simd << " " << n;
          ASSERT_EQ(got.stats.zeros, expected.stats.zeros) << simd << " " << n;
          ASSERT_EQ(got.stats.sum_abs, expected.stats.sum_abs) << simd << " " << n;
        });
      }
    }
  }
}

TEST(SignPack, NotFiniteShowsInTheSum) {
  for (float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                    -std::numeric_limits<float>::infinity()}) {
    for (size_t at : {0U, 70U, 99U}) {
      TestPair pair = RandomPair(100, at, 0);
      pair.fine[at] = bad;
      std::vector<uint8_t> sign(BitBytes(100));
      const auto pack = [&] {
        return SignPackRow({Element::kF32, pair.base.data()}, {Element::kF32, pair.fine.data()},
                           100, sign.data(), nullptr);
      };
      EXPECT_FALSE(std::isfinite(pack().sum_abs));
      ForEverySimd([&](const std::string&) { EXPECT_FALSE(std::isfinite(pack().sum_abs)); });
    }
  }
}

TEST(SignPack, NegativeZeroIsNoDifference) {
  const std::vector<float> base(70, 0.0F);
  const std::vector<float> fine(70, -0.0F);
  const Packed got = Pack(SignPackRow, TestRow(Element::kBF16, base).get(),
                          TestRow(Element::kBF16, fine).get(), 70);
  EXPECT_EQ(got.stats.zeros, 70U);
  EXPECT_EQ(got.sign[0], 0);
}

}  // namespace
}  // namespace signum::kernels
