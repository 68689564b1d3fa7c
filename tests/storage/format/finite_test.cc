#include <gtest/gtest.h>

#include "storage/format/safetensors.h"
#include "tests/storage/format/format_support.h"
#include "tests/support/result_matchers.h"

namespace signum {
namespace {

// One value of a dtype as its bytes, least significant first.
struct Value {
  Dtype dtype;
  uint64_t bits;
  bool finite;
};

constexpr Value kValues[] = {{Dtype::kF64, 0x7fefffffffffffff, true},
                             {Dtype::kF64, 0x7ff0000000000000, false},
                             {Dtype::kF64, 0xfff8000000000000, false},
                             {Dtype::kF64, 0x8000000000000000, true},
                             {Dtype::kF32, 0x7f7fffff, true},
                             {Dtype::kF32, 0x7f800000, false},
                             {Dtype::kF32, 0xff800001, false},
                             {Dtype::kF32, 0xff7fffff, true},
                             {Dtype::kF16, 0x7bff, true},
                             {Dtype::kF16, 0xfc00, false},
                             {Dtype::kF16, 0x7e00, false},
                             {Dtype::kBF16, 0x7f7f, true},
                             {Dtype::kBF16, 0x7f80, false},
                             {Dtype::kBF16, 0xffc0, false},
                             {Dtype::kF8E5M2, 0x7b, true},
                             {Dtype::kF8E5M2, 0xfc, false},
                             {Dtype::kF8E4M3, 0x7e, true},
                             {Dtype::kF8E4M3, 0xff, false},
                             {Dtype::kF8E8M0, 0x7f, true},
                             {Dtype::kF8E8M0, 0xff, false},
                             {Dtype::kC64, 0x000000007f800000, false},
                             {Dtype::kC64, 0x7f80000000000000, false},
                             {Dtype::kI16, 0x7f80, true},
                             {Dtype::kU8, 0xff, true},
                             {Dtype::kI64, 0x7ff0000000000000, true},
                             {Dtype::kBool, 1, true}};

class CheckFiniteFinds : public testing::TestWithParam<Value> {};

// At the ends, in the vectorised blocks, across their borders and in the rest behind them.
TEST_P(CheckFiniteFinds, TheValueWhereverItIs) {
  const auto [dtype, bits, finite] = GetParam();
  const size_t size = DtypeSize(dtype);
  const TensorInfo info{"model.w", dtype, {10'007}};
  for (size_t index : {0UL, 1UL, 511UL, 4095UL, 4096UL, 8193UL, 10'006UL}) {
    std::string data(info.bytes(), '\x11');
    std::memcpy(data.data() + index * size, &bits, size);
    if (finite) {
      EXPECT_THAT(CheckFinite(info, *Source(data), "f"), Ok());
      EXPECT_THAT(CheckFinite(info, CountingSource(data), "f"), Ok());
      continue;
    }
    const size_t at = index * size + (bits >> 32 != 0 && dtype == Dtype::kC64 ? 4 : 0);
    const std::string where = "byte " + std::to_string(at) + " ";
    EXPECT_THAT(CheckFinite(info, *Source(data), "f"),
                FailsWith(Errc::kUnusable, "not_finite", where));
    EXPECT_THAT(CheckFinite(info, CountingSource(data), "f"),
                FailsWith(Errc::kUnusable, "not_finite", "'model.w'"));
  }
}

INSTANTIATE_TEST_SUITE_P(Values, CheckFiniteFinds, testing::ValuesIn(kValues),
                         [](const auto& param_info) {
                           return std::string(DtypeName(param_info.param.dtype)) + "_" +
                                  std::to_string(param_info.index);
                         });

TEST(CheckFinite, CountsOffsetsOverSeveralReads) {
  const TensorInfo info{"w", Dtype::kBF16, {3'000'000}};
  std::string data(info.bytes(), '\0');
  data[5'000'001] = '\x7f';
  data[5'000'000] = '\x80';
  EXPECT_THAT(CheckFinite(info, CountingSource(data), "shard"),
              FailsWith(Errc::kUnusable, "not_finite", "byte 5000000 "));
}

TEST(CheckFinite, PassesNoElements) {
  EXPECT_THAT(CheckFinite({"w", Dtype::kF32, {0, 4}}, *Source(""), "f"), Ok());
}

}  // namespace
}  // namespace signum
