#include "gpu/kernels/reconstruct.h"

#include <gtest/gtest.h>

#include "gpu/kernels/scalar.h"
#include "tests/gpu/kernels/kernel_support.h"

namespace signum::kernels {
namespace {

TEST(Reconstruct, SmallCaseByHand) {
  const std::vector<float> base = {1, 2, 3, 4};
  const std::vector<float> col = {1, 2, 4, 8};
  const uint8_t sign = 0b0101;
  const uint8_t mask = 0b0111;
  std::vector<float> out(4);
  ReconstructRow({Element::kF32, base.data()}, {&sign, nullptr, 0.5F, nullptr}, 4,
                 {Element::kF32, out.data()});
  EXPECT_EQ(out, (std::vector<float>{1.5F, 1.5F, 3.5F, 3.5F}));
  ReconstructRow({Element::kF32, base.data()}, {&sign, &mask, 0.5F, col.data()}, 4,
                 {Element::kF32, out.data()});
  EXPECT_EQ(out, (std::vector<float>{1.5F, 1, 5, 4}));
}

TEST(Reconstruct, EveryImplementationGivesTheSameBits) {
  uint64_t seed = 0;
  for (size_t n : kLengths) {
    for (Element base_type : kElements) {
      for (Element out_type : kElements) {
        const TestPair pair = RandomPair(n, ++seed, 0);
        const TestRow base(base_type, pair.base);
        const std::vector<uint8_t> sign = RandomBits(n, seed);
        const std::vector<uint8_t> mask = RandomBits(n, seed + 1);
        for (int kind = 0; kind < 4; ++kind) {
          const SignScales how{sign.data(), kind % 2 == 1 ? mask.data() : nullptr, 0.013F,
                               kind / 2 == 1 ? pair.fine.data() : nullptr};
          std::vector<std::byte> expected(n * ElementBytes(out_type) + 1, std::byte{7});
          std::vector<std::byte> got = expected;
          reference::ReconstructRow(base.get(), how, n, {out_type, expected.data()});
          ForEverySimd([&](const std::string& simd) {
            ReconstructRow(base.get(), how, n, {out_type, got.data()});
            ASSERT_EQ(got, expected) << simd << " n " << n << " kind " << kind;
          });
        }
      }
    }
  }
}

}  // namespace
}  // namespace signum::kernels
