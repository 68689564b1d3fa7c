#include "gpu/kernels/bits.h"

#include <gtest/gtest.h>

#include "gpu/kernels/scalar.h"
#include "tests/gpu/kernels/kernel_support.h"

namespace signum::kernels {
namespace {

TEST(Bits, GatherScatterAndCountByTheirDefinition) {
  for (size_t n : kLengths) {
    for (uint64_t at : {0U, 1U, 5U, 8U, 13U}) {
      const std::vector<uint8_t> mask = RandomBits(n, n + at);
      const std::vector<uint8_t> values = RandomBits(n, n + at + 1);
      std::vector<bool> expected;
      for (size_t i = 0; i < n; ++i) {
        if (TestBit(mask.data(), i)) expected.push_back(TestBit(values.data(), i));
      }
      EXPECT_EQ(CountBits(mask.data(), n), expected.size());

      std::vector<uint8_t> packed(BitBytes(at + expected.size()) + 1);
      EXPECT_EQ(GatherBits(values.data(), mask.data(), n, packed.data(), at), at + expected.size());
      for (size_t i = 0; i < expected.size(); ++i) {
        ASSERT_EQ(TestBit(packed.data(), at + i), expected[i]);
      }

      std::vector<uint8_t> spread(BitBytes(n) + 1, 0xee);
      EXPECT_EQ(ScatterBits(packed.data(), at, mask.data(), n, spread.data()),
                at + expected.size());
      EXPECT_EQ(spread.back(), 0xee);
      for (size_t i = 0; i < n; ++i) {
        ASSERT_EQ(TestBit(spread.data(), i), TestBit(mask.data(), i) && TestBit(values.data(), i));
      }
    }
  }
}

TEST(Bits, CopiesToAnyBit) {
  for (size_t n : kLengths) {
    for (uint64_t at = 0; at < 17; ++at) {
      const std::vector<uint8_t> from = RandomBits(n, n + at);
      std::vector<uint8_t> out(BitBytes(at + n) + 1);
      for (uint64_t i = 0; i < at; ++i) SetBit(out.data(), i);
      CopyBits(from.data(), n, out.data(), at);
      for (uint64_t i = 0; i < at; ++i) ASSERT_TRUE(TestBit(out.data(), i));
      for (uint64_t i = 0; i < n; ++i) {
        ASSERT_EQ(TestBit(out.data(), at + i), TestBit(from.data(), i));
      }
      EXPECT_EQ(out.back(), 0);
    }
  }
}

}  // namespace
}  // namespace signum::kernels
