#include "tests/gpu/cuda/emulation/emulator.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "tests/gpu/cuda/emulation/cuda_runtime.h"

namespace signum::emulation {
namespace {

// The emulator itself: that it runs what CUDA would, and finds what it says it finds.

TEST(Emulator, RunsEveryThreadOfEveryBlock) {
  std::vector<int> seen(3 * 70);
  RunGrid(3, 70, [&] { ++seen[blockIdx.x * blockDim.x + threadIdx.x]; });
  EXPECT_EQ(seen, std::vector<int>(3 * 70, 1));
}

TEST(Emulator, ABarrierOrdersABlock) {
  for (const Order order : {Order::kAscending, Order::kDescending, Order::kShuffled}) {
    SetOrder(order);
    std::vector<int> shared(64);
    std::vector<int> got(64);
    RunGrid(1, 64, [&] {
      shared[threadIdx.x] = static_cast<int>(threadIdx.x);
      __syncthreads();
      got[threadIdx.x] = shared[63 - threadIdx.x];
    });
    for (int i = 0; i < 64; ++i) EXPECT_EQ(got[static_cast<size_t>(i)], 63 - i);
  }
}

TEST(Emulator, AMissingBarrierShows) {
  const auto reversed = [](Order order) {
    SetOrder(order);
    std::vector<int> shared(64, -1);
    std::vector<int> got(64);
    RunGrid(1, 64, [&] {
      shared[threadIdx.x] = static_cast<int>(threadIdx.x);
      got[threadIdx.x] = shared[63 - threadIdx.x];
    });
    return got;
  };
  EXPECT_NE(reversed(Order::kAscending), reversed(Order::kDescending));
}

TEST(Emulator, Shuffles) {
  std::vector<int> sums(64);
  std::vector<int> above(64);
  RunGrid(1, 64, [&] {
    int sum = static_cast<int>(threadIdx.x);
    for (int by = 16; by > 0; by /= 2) sum += __shfl_xor_sync(0xffffffffU, sum, by);
    sums[threadIdx.x] = sum;
    above[threadIdx.x] = __shfl_up_sync(0xffffffffU, static_cast<int>(threadIdx.x), 2);
  });
  EXPECT_EQ(sums[0], 31 * 32 / 2);
  EXPECT_EQ(sums[63], 31 * 32 / 2 + 32 * 32);
  EXPECT_EQ(above[1], 1);
  EXPECT_EQ(above[33], 33);
  EXPECT_EQ(above[40], 38);
}

TEST(Emulator, Ballots) {
  std::vector<unsigned> bits(32);
  RunGrid(1, 32, [&] { bits[threadIdx.x] = __ballot_sync(0xffffffffU, threadIdx.x % 3 == 0); });
  EXPECT_EQ(bits[0], 0x49249249U);
  EXPECT_EQ(bits[31], bits[0]);
}

TEST(EmulatorDeathTest, ABarrierThatNotAllReachIsBroken) {
  EXPECT_DEATH(RunGrid(1, 64,
                       [] {
                         if (threadIdx.x < 40) __syncthreads();
                       }),
               "not all threads reach");
}

TEST(EmulatorDeathTest, AShuffleOfPartOfAWarpIsBroken) {
  EXPECT_DEATH(RunGrid(1, 32, [] { __shfl_sync(0xffffU, 1, 0); }), "part of a warp");
  EXPECT_DEATH(RunGrid(1, 32,
                       [] {
                         if (threadIdx.x > 3) __shfl_sync(0xffffffffU, 1, 0);
                       }),
               "not all threads reach");
}

TEST(Emulator, RefusesLaunchesBeyondTheLimits) {
  cudaSetDevice(0);
  cudaLaunchConfig_t config;
  config.blockDim = dim3(1025);
  EXPECT_EQ(cudaLaunchKernelEx(
                &config, +[] {}),
            cudaErrorInvalidConfiguration);
  config.blockDim = dim3(1);
  config.gridDim = dim3(1, 65536);
  EXPECT_EQ(cudaLaunchKernelEx(
                &config, +[] {}),
            cudaErrorInvalidConfiguration);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

}  // namespace
}  // namespace signum::emulation
