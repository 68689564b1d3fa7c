#include "gpu/kernels/convert.h"

#include <gtest/gtest.h>

#include <cfenv>
#include <cmath>
#include <limits>

#include "gpu/kernels/scalar.h"
#include "tests/gpu/kernels/kernel_support.h"

namespace signum::kernels {
namespace {

// The value of a binary16 by its definition.
double HalfByDefinition(uint16_t h) {
  const int exponent = (h >> 10) & 0x1f;
  const int fraction = h & 0x3ff;
  const double magnitude =
      exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return (h & 0x8000) != 0 ? -magnitude : magnitude;
}

std::vector<uint16_t> AllHalves() {
  std::vector<uint16_t> all(65536);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint16_t>(i);
  return all;
}

// Every upper half of a float32 with lower halves around the rounding edges of bf16 and f16.
std::vector<float> EdgeFloats() {
  std::vector<float> values;
  for (uint32_t high = 0; high < 65536; ++high) {
    for (uint32_t low : {0x0000U, 0x0001U, 0x0fffU, 0x1000U, 0x1001U, 0x3000U, 0x7fffU, 0x8000U,
                         0x8001U, 0xffffU}) {
      values.push_back(std::bit_cast<float>(high << 16 | low));
    }
  }
  return values;
}

TEST(Convert, HalvesHaveTheirDefinedValue) {
  for (uint16_t h : AllHalves()) {
    if ((h & 0x7c00) == 0x7c00) continue;
    EXPECT_EQ(static_cast<double>(FromF16(h)), HalfByDefinition(h)) << h;
    EXPECT_EQ(ToF16(FromF16(h)), h);
  }
  EXPECT_TRUE(std::isinf(FromF16(0x7c00)));
  EXPECT_TRUE(std::isnan(FromF16(0x7e01)));
  EXPECT_EQ(ToBf16(FromBf16(0x1234)), 0x1234);
}

// Rounding checked against the neighbours: the nearest one, the even one in a tie.
TEST(Convert, RoundsToNearestEven) {
  for (float value : EdgeFloats()) {
    if (!std::isfinite(value) || std::fabs(value) >= 65504) continue;
    const uint16_t h = ToF16(value);
    const double error = std::fabs(HalfByDefinition(h) - static_cast<double>(value));
    for (int step : {-1, 1}) {
      if ((h & 0x7fff) == 0 && step < 0) continue;
      const auto neighbour = static_cast<uint16_t>(h + step);
      const double other = std::fabs(HalfByDefinition(neighbour) - static_cast<double>(value));
      ASSERT_TRUE(error < other || (error == other && h % 2 == 0)) << value;
    }
  }
  EXPECT_EQ(ToF16(65519.0F), 0x7bff);
  EXPECT_EQ(ToF16(65520.0F), 0x7c00);
  EXPECT_EQ(ToF16(-1e9F), 0xfc00);
  EXPECT_EQ(ToBf16(1.00390625F), 0x3f80);  // a tie goes to the even one below
  EXPECT_EQ(ToBf16(1.01171875F), 0x3f82);  // and to the even one above
  EXPECT_EQ(ToBf16(std::numeric_limits<float>::max()), 0x7f80);
  EXPECT_TRUE(std::isnan(FromBf16(ToBf16(std::bit_cast<float>(0x7f800001U)))));
}

TEST(Convert, EveryImplementationGivesTheSameBits) {
  const std::vector<uint16_t> halves = AllHalves();
  const std::vector<float> floats = EdgeFloats();
  ForEverySimd([&](const std::string& simd) {
    for (Element type : {Element::kF16, Element::kBF16}) {
      std::vector<float> expected(halves.size());
      std::vector<float> got(halves.size());
      reference::ToFloat({type, halves.data()}, halves.size(), expected.data());
      ToFloat({type, halves.data()}, halves.size(), got.data());
      EXPECT_EQ(std::memcmp(expected.data(), got.data(), got.size() * 4), 0) << simd;
      std::vector<uint16_t> rounded(floats.size());
      std::vector<uint16_t> fast(floats.size());
      reference::FromFloat(floats.data(), floats.size(), {type, rounded.data()});
      FromFloat(floats.data(), floats.size(), {type, fast.data()});
      EXPECT_EQ(rounded, fast) << simd;
    }
  });
}

TEST(Convert, RaggedAndUnalignedRows) {
  for (size_t n : kLengths) {
    const TestPair pair = RandomPair(n, n, 0);
    for (Element type : kElements) {
      const TestRow row(type, pair.base);
      std::vector<float> expected(n);
      for (size_t i = 0; i < n; ++i) expected[i] = LoadElement(row.get(), i);
      ForEverySimd([&](const std::string& simd) {
        std::vector<float> got(n + 1, 77.0F);
        ToFloat(row.get(), n, got.data());
        EXPECT_EQ(got.back(), 77.0F) << simd;  // nothing past the end
        got.pop_back();
        EXPECT_EQ(got, expected) << simd << " " << n;
        std::vector<std::byte> out(n * ElementBytes(type) + 1, std::byte{9});
        ConvertRow({Element::kF32, expected.data()}, n, {type, out.data()});
        EXPECT_EQ(out.back(), std::byte{9});
        EXPECT_EQ(n == 0 ? 0 : std::memcmp(out.data(), row.get().data, out.size() - 1), 0) << simd;
      });
    }
  }
}

}  // namespace
}  // namespace signum::kernels
