#include "gpu/cuda_module.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "gpu/cuda/loader.h"

namespace signum {
namespace {

using testing::HasSubstr;

TEST(OpenBackend, GivesTheCpuWhereItIsAskedFor) {
  CpuReason why{"old", true};
  const auto backend = OpenBackend("cpu", {}, &why);
  ASSERT_TRUE(backend.has_value());
  EXPECT_EQ((*backend)->name(), "cpu");
  EXPECT_EQ(why.text, "");
  EXPECT_FALSE(why.unexpected);
}

TEST(OpenBackend, AutoNeverFails) {
  CpuReason why;
  const auto backend = OpenBackend("auto", {}, &why);
  ASSERT_TRUE(backend.has_value());
  if ((*backend)->name() == "cpu") {
    EXPECT_THAT(why.text, HasSubstr("running on the CPU: "));
    EXPECT_EQ(why.text.find('\n'), std::string::npos);
  } else {
    EXPECT_EQ(why.text, "");
  }
}

TEST(OpenBackend, NamesWhatACudaDeviceLacks) {
  const auto backend = OpenBackend("cuda:99");
  ASSERT_TRUE(backend.has_error());
  EXPECT_EQ(backend.error().code, Errc::kUnavailable);
  EXPECT_EQ(backend.error().reason, "no_cuda");
  EXPECT_THAT(backend.error().message, HasSubstr("cuda:99: "));
}

TEST(OpenBackend, IsTheCpuWhereANamedDeviceIsMissing) {
  CpuReason why;
  const auto backend = OpenBackendOrCpu("cuda:99", {}, &why);
  ASSERT_TRUE(backend.has_value());
  EXPECT_EQ((*backend)->name(), "cpu");
  EXPECT_THAT(why.text, HasSubstr("running on the CPU: cuda:99: "));
  EXPECT_TRUE(why.unexpected);
  EXPECT_EQ(OpenBackendOrCpu("tpu", {}, &why).error().reason, "bad_device");
}

// Where neither driver nor module is, nobody expects a device of `auto`.
TEST(OpenBackend, AutoWithoutAModuleIsExpectedToBeTheCpu) {
  setenv("SIGNUM_CUDA_MODULE", "/nonexistent/module.so", 1);
  CpuReason why;
  const auto backend = OpenBackend("auto", {}, &why);
  unsetenv("SIGNUM_CUDA_MODULE");
  EXPECT_EQ((*backend)->name(), "cpu");
  EXPECT_NE(why.text, "");
  EXPECT_FALSE(why.unexpected);
}

TEST(OpenBackend, RefusesOtherNames) {
  for (const char* name : {"", "gpu", "cuda:", "cuda:x", "cuda:1x", "cuda:-1", "CPU"}) {
    const auto backend = OpenBackend(name);
    ASSERT_TRUE(backend.has_error()) << name;
    EXPECT_EQ(backend.error().code, Errc::kInvalid) << name;
    EXPECT_EQ(backend.error().reason, "bad_device") << name;
  }
}

TEST(OpenBackend, TakesCudaForTheFirstDevice) {
  EXPECT_TRUE(IsDeviceName("cuda"));
  const auto backend = OpenBackend("cuda");
  if (backend) {
    EXPECT_EQ((*backend)->name(), "cuda:0");
  } else {
    EXPECT_EQ(backend.error().reason, "no_cuda");
  }
}

// Only where there is a driver does the search come as far as the module.
TEST(OpenBackend, ReportsAModuleThatIsNotThere) {
  setenv("SIGNUM_CUDA_MODULE", "/nonexistent/module.so", 1);
  cuda::LoadFailure failure;
  const auto backend = cuda::LoadBackend({}, &failure);
  unsetenv("SIGNUM_CUDA_MODULE");
  EXPECT_EQ(backend, nullptr);
  EXPECT_FALSE(failure.present);
  EXPECT_THAT(failure.why,
              testing::AnyOf(HasSubstr("no NVIDIA driver"), HasSubstr("/nonexistent")));
}

}  // namespace
}  // namespace signum
