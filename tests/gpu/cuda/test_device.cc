#include "tests/gpu/cuda/test_device.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "gpu/cuda/backend.cuh"
#include "gpu/cuda_module.h"
#include "tests/gpu/cuda/emulation/held_event.h"

namespace signum {

bool TestDeviceIsReal() { return std::getenv("SIGNUM_TEST_DEVICE") != nullptr; }

std::unique_ptr<ops::Backend> OpenTestDevice() {
  if (const char* name = std::getenv("SIGNUM_TEST_DEVICE")) {
    auto real = OpenBackend(name);
    EXPECT_TRUE(real.has_value()) << real.error().message;
    return real ? *std::move(real) : nullptr;
  }
  SignumEmulatedLazy(1);
  std::string why;
  auto backend = cuda::MakeBackend({}, &why);
  EXPECT_NE(backend, nullptr) << why;
  return backend;
}

}  // namespace signum
