#include <gtest/gtest.h>

#include "gpu/kernels/simd.h"

namespace signum::kernels {
namespace {

TEST(Dispatch, ForcesEveryImplementationByName) {
  const auto names = SimdNames();
  EXPECT_EQ(names.front(), "scalar");
  for (const std::string& name : names) {
    ASSERT_TRUE(SetSimd(name)) << name;
    EXPECT_EQ(SimdName(), name);
    EXPECT_EQ(UseReference(), name == "scalar");
  }
  EXPECT_FALSE(SetSimd("mmx"));
  EXPECT_EQ(SimdName(), names.back());  // a name it does not know changes nothing
  ASSERT_TRUE(SetSimd(""));
}

}  // namespace
}  // namespace signum::kernels
