#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <tuple>

#include "gpu/cuda/backend.cuh"
#include "gpu/ops/transfer_ops.h"
#include "tests/gpu/cuda/emulation/emulator.h"
#include "tests/gpu/cuda/emulation/held_event.h"
#include "tests/gpu/ops/cases.h"

namespace signum::ops {
namespace {

using emulation::Order;

// Every case on the emulated device, under each order of its threads: where the order changes a
// result, a barrier is missing.
class OpsOnEmulatedCuda : public testing::TestWithParam<std::tuple<Case, Order>> {};

TEST_P(OpsOnEmulatedCuda, Passes) {
  const auto& [one, order] = GetParam();
  emulation::SetOrder(order);
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
