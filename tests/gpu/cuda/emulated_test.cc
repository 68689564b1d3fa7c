#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <thread>
#include <tuple>

#include "gpu/cuda/backend.cuh"
#include "gpu/ops/delta_ops.h"
#include "gpu/ops/transfer_ops.h"
#include "tests/gpu/cuda/emulation/emulator.h"
#include "tests/gpu/cuda/emulation/held_event.h"
#include "tests/gpu/ops/cases.h"

namespace signum::ops {
namespace {

using emulation::Order;

// Every case on the emulated device, under each order of its threads: where the order changes a
// result, a barrier is missing. With the last one work is late, too: where that changes a result,
// somebody has not waited.
class OpsOnEmulatedCuda : public testing::TestWithParam<std::tuple<Case, Order>> {
 protected:
  ~OpsOnEmulatedCuda() override { SignumEmulatedLazy(0); }
};

TEST_P(OpsOnEmulatedCuda, Passes) {
  const auto& [one, order] = GetParam();
  emulation::SetOrder(order);
  SignumEmulatedLazy(order == Order::kShuffled ? 1 : 0);
  std::string why;
  const auto backend = cuda::MakeBackend({}, &why);
  ASSERT_NE(backend, nullptr) << why;
  Report report;
  one.run(*backend, report);
  for (const std::string& failure : report.failures()) ADD_FAILURE() << failure;
  EXPECT_EQ(backend->TakeError(), "");
}

std::string NameOf(const testing::TestParamInfo<std::tuple<Case, Order>>& one) {
  constexpr const char* kOrders[] = {"Ascending", "Descending", "Shuffled"};
  return std::get<0>(one.param).name + kOrders[static_cast<int>(std::get<1>(one.param))];
}

INSTANTIATE_TEST_SUITE_P(All, OpsOnEmulatedCuda,
                         testing::Combine(testing::ValuesIn(OpCases()),
                                          testing::Values(Order::kAscending, Order::kDescending,
                                                          Order::kShuffled)),
                         NameOf);

TEST(EmulatedCuda, SaysWhyADeviceIsNotThere) {
  std::string why;
  EXPECT_EQ(cuda::MakeBackend({7, false}, &why), nullptr);
  EXPECT_EQ(why, "no device 7: there are 1");
}

TEST(EmulatedCuda, SaysThatTheModuleIsForOtherDevices) {
  setenv("SIGNUM_EMULATED_NO_CODE", "1", 1);
  std::string why;
  EXPECT_EQ(cuda::MakeBackend({}, &why), nullptr);
  unsetenv("SIGNUM_EMULATED_NO_CODE");
  EXPECT_EQ(
      why,
      "the module has no code for device 0 (no kernel image is available for execution on the "
      "device): see SIGNUM_CUDA_ARCHITECTURES");
  EXPECT_NE(cuda::MakeBackend({}, &why), nullptr) << why;
}

TEST(EmulatedCuda, KeepsTheFirstErrorUntilItIsTaken) {
  std::string why;
  const auto backend = cuda::MakeBackend({}, &why);
  ASSERT_NE(backend, nullptr) << why;
  AttentionShape shape;
  shape.batch = shape.tokens = shape.heads = shape.kv_heads = 1;
  shape.head_dim = 300;
  backend->Attention({shape, nullptr, nullptr, nullptr, nullptr});
  backend->DecodeAttention({shape, nullptr, nullptr, nullptr, nullptr, 1, 1});
  EXPECT_EQ(backend->TakeError(), "Attention: head_dim over 256");
  EXPECT_EQ(backend->TakeError(), "");
}

std::unique_ptr<Backend> Open() {
  std::string why;
  auto backend = cuda::MakeBackend({}, &why);
  EXPECT_NE(backend, nullptr) << why;
  return backend;
}

// As a node has them: one loads, another computes, each on a stream of its own.
TEST(EmulatedCuda, WhatOneBackendHasLoadedIsThereForAnother) {
  SignumEmulatedLazy(1);
  const auto loader = Open();
  const auto engine = Open();
  std::mt19937 random(1);
  const std::vector<uint8_t> bytes = RandomBytes(random, (size_t{8} << 20) + 12345);
  const Buffer<uint8_t> there(*loader, bytes.size());
  std::vector<uint8_t> got(bytes.size());
  const auto fill = [&](size_t at, void* to, size_t size) {
    std::copy_n(bytes.begin() + static_cast<int64_t>(at), size, static_cast<uint8_t*>(to));
    return true;
  };
  EXPECT_TRUE(DeltaOpsOf(*loader).StageUpload(there.data(), bytes.size(), fill));
  engine->Download(there.data(), got.data(), got.size());
  EXPECT_EQ(got, bytes) << "staged";
  const std::vector<uint8_t> other = RandomBytes(random, bytes.size());
  TransferOpsOf(*loader)->CopyIn(there.data(), other.data(), other.size());
  engine->Download(there.data(), got.data(), got.size());
  EXPECT_EQ(got, other) << "copied";
  loader->Upload(bytes.data(), there.data(), bytes.size());
  engine->Download(there.data(), got.data(), got.size());
  EXPECT_EQ(got, bytes) << "uploaded";
  SignumEmulatedLazy(0);
}

// In a process of its own, which is of no more use then.
TEST(EmulatedCudaDeathTest, ADeviceThatFailedIsNotOpenedAgain) {
  const auto fails = [](const std::string& error) {
    return error.find("illegal memory access") != error.npos;
  };
  const auto run = [&] {
    const auto backend = Open();
    const OnDevice<float> x(*backend, Floats(8));
    setenv("SIGNUM_EMULATED_FAIL", "/", 1);  // it is there
    backend->Add({x.data(), x.data(), x.data(), 8});
    bool right = fails(backend->TakeError()) && fails(backend->TakeError());
    std::string why;
    right = right && cuda::MakeBackend({}, &why) == nullptr && fails(why);
    std::_Exit(right ? 0 : 1);
  };
  EXPECT_EXIT(run(), testing::ExitedWithCode(0), "");
}

// Its stream's work so far, and no less.
TEST(EmulatedCuda, AnEventComesAfterAllOpsSoFar) {
  SignumEmulatedLazy(1);
  const auto loader = Open();
  const auto engine = Open();
  TransferOps& transfers = *TransferOpsOf(*loader);
  for (int i = 0; i < 20; ++i) {
    const OnDevice<uint8_t> bytes(*loader, 64);  // none of them 0
    loader->Zero(bytes.data(), 64);
    void* zeroed = transfers.RecordEvent();
    std::vector<uint8_t> got(64);
    EXPECT_TRUE(transfers.WaitForEvent(zeroed));
    engine->Download(bytes.data(), got.data(), got.size());
    EXPECT_EQ(got, std::vector<uint8_t>(64));
    transfers.DestroyEvent(zeroed);
  }
  SignumEmulatedLazy(0);
}

// The second op needs more than the first had, which has not run yet.
TEST(EmulatedCuda, MemoryForAnOpStaysUntilTheOpHasRun) {
  SignumEmulatedLazy(1);
  const auto backend = Open();
  const Buffer<uint8_t> signs(*backend, 300'000 / 8);
  backend->Zero(signs.data(), signs.size());
  const OnDevice<float> ones(*backend, Floats(300'000, 1));
  const OnDevice<float> row(*backend, Floats(1));
  const OnDevice<float> small(*backend, Floats(100));
  const OnDevice<float> large(*backend, Floats(300'000));
  const SignPlane plane{signs.data(), nullptr, ones.data(), nullptr, false};
  backend->SignGrad({plane, ones.data(), row.data(), small.data(), 1, 100});
  backend->SignGrad({plane, ones.data(), row.data(), large.data(), 1, 300'000});
  EXPECT_EQ(small.Get(), Floats(100, -1));
  EXPECT_EQ(large.Get(), Floats(300'000, -1));
  EXPECT_EQ(backend->TakeError(), "");
  SignumEmulatedLazy(0);
}

// An event of ours passes after the caller's, which need not live that long.
TEST(EmulatedCuda, AnEventAfterAnotherWaitsForIt) {
  std::string why;
  const auto backend = cuda::MakeBackend({}, &why);
  ASSERT_NE(backend, nullptr) << why;
  TransferOps& transfers = *TransferOpsOf(*backend);
  void* held = SignumEmulatedHeldEvent();
  void* after = transfers.EventAfter(held);
  ASSERT_NE(after, nullptr);
  std::atomic<bool> passed{false};
  std::jthread waiting([&] {
    EXPECT_TRUE(transfers.WaitForEvent(after));
    passed = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds{20});
  EXPECT_FALSE(passed);
  SignumEmulatedPass(held);
  waiting.join();
  transfers.DestroyEvent(held);
  EXPECT_TRUE(transfers.WaitForEvent(after));
  int none = 0;
  EXPECT_EQ(transfers.EventAfter(&none), nullptr);
  EXPECT_FALSE(transfers.WaitForEvent(&none));
  void* stream = SignumEmulatedStream();
  EXPECT_TRUE(transfers.StreamWaits(stream, after));
  EXPECT_EQ(SignumEmulatedWaits(stream), 1);
  transfers.DestroyEvent(after);
}

}  // namespace
}  // namespace signum::ops
