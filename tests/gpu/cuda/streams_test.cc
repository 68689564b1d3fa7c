#include "tests/gpu/cuda/emulation/streams.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <vector>

#include "tests/gpu/cuda/emulation/device_memory.h"
#include "tests/gpu/cuda/emulation/held_event.h"

namespace signum::emulation {
namespace {

// The emulated streams and memory themselves: that faults which a real device has only now and then
// show here.

void Fill(int* place, int value) { *place = value; }

class LazyStreams : public testing::Test {
 protected:
  LazyStreams() {
    cudaSetDevice(0);
    cudaStreamCreateWithFlags(&one_, cudaStreamNonBlocking);
    cudaStreamCreateWithFlags(&other_, cudaStreamNonBlocking);
    cudaEventCreateWithFlags(&event_, cudaEventDisableTiming);
    void* memory = nullptr;
    cudaMalloc(&memory, sizeof(int));
    place_ = static_cast<int*>(memory);
  }
  ~LazyStreams() override {
    SignumEmulatedLazy(0);
    cudaStreamSynchronize(one_);
    cudaStreamSynchronize(other_);
    cudaFree(place_);
    cudaEventDestroy(event_);
    cudaStreamDestroy(one_);
    cudaStreamDestroy(other_);
  }

  void Launch(cudaStream_t stream, int value) {
    cudaLaunchConfig_t config;
    config.stream = stream;
    EXPECT_EQ(cudaLaunchKernelEx(&config, Fill, place_, value), cudaSuccess);
  }
  int Get(cudaStream_t stream) {
    int value = 0;
    EXPECT_EQ(cudaMemcpyAsync(&value, place_, sizeof value, cudaMemcpyDeviceToHost, stream),
              cudaSuccess);
    cudaStreamSynchronize(stream);
    return value;
  }
  // What is read on a second stream after a write on the first, over many seeds.
  std::set<int> Read(bool ordered) {
    std::set<int> seen;
    for (unsigned seed = 1; seed <= 30; ++seed) {
      SignumEmulatedLazy(seed);
      Launch(one_, 1);
      cudaStreamSynchronize(one_);
      Launch(one_, 2);
      cudaEventRecord(event_, one_);
      if (ordered) cudaStreamWaitEvent(other_, event_, 0);
      seen.insert(Get(other_));
      cudaStreamSynchronize(one_);
    }
    return seen;
  }

  cudaStream_t one_ = nullptr, other_ = nullptr;
  cudaEvent_t event_ = nullptr;
  int* place_ = nullptr;
};

TEST_F(LazyStreams, OnlyAnEventOrdersTwo) {
  EXPECT_EQ(Read(false), (std::set<int>{1, 2}));
  EXPECT_EQ(Read(true), std::set<int>{2});
}

TEST_F(LazyStreams, AnEventIsWhatWasRecordedBeforeItWasWaitedFor) {
  SignumEmulatedLazy(1);
  cudaEventRecord(event_, one_);
  cudaStreamWaitEvent(other_, event_, 0);
  void* held = SignumEmulatedHeldEvent();
  cudaStreamWaitEvent(one_, static_cast<cudaEvent_t>(held), 0);
  cudaEventRecord(event_, one_);  // anew: later than what other_ waits for
  EXPECT_EQ(cudaStreamSynchronize(other_), cudaSuccess);
  SignumEmulatedPass(held);
  cudaEventDestroy(static_cast<cudaEvent_t>(held));
}

TEST_F(LazyStreams, ACopyReadsTheHostWhenItRuns) {
  std::set<int> seen;
  for (unsigned seed = 1; seed <= 30; ++seed) {
    SignumEmulatedLazy(seed);
    int value = 1;
    cudaMemcpyAsync(place_, &value, sizeof value, cudaMemcpyHostToDevice, one_);
    value = 2;  // too early
    seen.insert(Get(one_));
  }
  EXPECT_EQ(seen, (std::set<int>{1, 2}));
}

TEST_F(LazyStreams, AKernelKeepsItsArguments) {
  SignumEmulatedLazy(1);
  int value = 1;
  cudaLaunchConfig_t config;
  config.stream = one_;
  cudaLaunchKernelEx(&config, Fill, place_, value);
  value = 2;
  EXPECT_EQ(Get(one_), 1);
}

TEST_F(LazyStreams, CopiesAreWithinAllocationsAndTheRightWay) {
  int values[2] = {};
  const auto copy = [&](void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
    return cudaMemcpyAsync(to, from, bytes, kind, one_);
  };
  EXPECT_EQ(copy(place_, values, 8, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(copy(values, place_, 4, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(copy(place_, place_, 4, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemsetAsync(place_, 0, 5, one_), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFree(values), cudaErrorInvalidValue);
  cudaGetLastError();
}

TEST_F(LazyStreams, FreshMemoryIsNoZero) { EXPECT_EQ(Get(one_), -1); }

using LazyStreamsDeathTest = LazyStreams;

TEST_F(LazyStreamsDeathTest, TheHostIsNotAtTheDevicesMemory) {
  void* memory = nullptr;
  cudaMalloc(&memory, 1);
  const bool apart = IsApart();
  if (!apart) GTEST_SKIP() << "no protection keys here";
  EXPECT_DEATH(*static_cast<volatile char*>(memory) = 1, "");
}

TEST_F(LazyStreamsDeathTest, AWriteToFreedMemoryIsFound) {
  if (!IsApart()) GTEST_SKIP() << "AddressSanitizer finds it, or nothing does";
  const auto late = [&] {
    SignumEmulatedLazy(1);
    void* memory = nullptr;
    cudaMalloc(&memory, sizeof(int));
    cudaLaunchConfig_t config;
    config.stream = one_;
    for (int i = 0; i < 64; ++i) cudaLaunchKernelEx(&config, Fill, static_cast<int*>(memory), i);
    cudaFree(memory);
    cudaStreamSynchronize(one_);
    CheckFreed();
  };
  EXPECT_DEATH(late(), "of a freed 4 was written");
}

TEST_F(LazyStreamsDeathTest, PageLockedMemoryOutlivesItsCopy) {
  const auto early = [&] {
    SignumEmulatedLazy(3);
    static int values[64];
    cudaHostRegister(values, sizeof values, 0);
    for (int& value : values) {
      cudaMemcpyAsync(place_, &value, sizeof value, cudaMemcpyHostToDevice, one_);
    }
    cudaHostUnregister(values);
  };
  EXPECT_DEATH(early(), "before the copy");
}

TEST_F(LazyStreamsDeathTest, AThreadSaysWhichDevice) {
  const auto other = [] {
    std::thread([] {
      void* memory = nullptr;
      cudaMalloc(&memory, 1);
    }).join();
  };
  EXPECT_DEATH(other(), "no cudaSetDevice");
}

}  // namespace
}  // namespace signum::emulation
