#include <gtest/gtest.h>

#include "tests/gpu/ops/cases.h"

namespace signum::ops {
namespace {

class OpsOnCpu : public testing::TestWithParam<Case> {};

TEST_P(OpsOnCpu, Passes) {
  const auto backend = MakeCpuBackend();
  Report report;
  GetParam().run(*backend, report);
  for (const std::string& failure : report.failures()) ADD_FAILURE() << failure;
  EXPECT_EQ(backend->TakeError(), "");
}

INSTANTIATE_TEST_SUITE_P(All, OpsOnCpu, testing::ValuesIn(OpCases()),
                         [](const auto& one) { return one.param.name; });

}  // namespace
}  // namespace signum::ops
