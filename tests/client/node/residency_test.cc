#include "client/node/residency.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/client/node/node_fixtures.h"
#include "tests/support/result_matchers.h"

namespace signum::client {
namespace {

class ResidencyTest : public testing::Test {
 protected:
  std::shared_ptr<MemoryBudget> budget_ = std::make_shared<MemoryBudget>(1 << 20);
  Residency residency_;
};

TEST_F(ResidencyTest, NothingIsResidentAtFirst) {
  EXPECT_THAT(residency_.Acquire("acme", "chat"),
              FailsWith(Errc::kNotFound, "not_resident", "acme/chat"));
  EXPECT_FALSE(residency_.Retire("acme", "chat"));
  EXPECT_TRUE(residency_.Snapshot().empty());
}

TEST_F(ResidencyTest, AReaderKeepsItsGenerationAcrossASwap) {
  residency_.Publish(MakeGeneration(budget_, 1, 'a'));
  Lease old = residency_.Acquire("acme", "chat").value();
  residency_.Publish(MakeGeneration(budget_, 2, 'b'));
  const Lease fresh = residency_.Acquire("acme", "chat").value();
  EXPECT_EQ(old->live.version, 1u);
  EXPECT_EQ(old->arena->View()[100], std::byte{'a'});
  EXPECT_EQ(fresh->live.version, 2u);
  EXPECT_EQ(fresh->arena->View()[100], std::byte{'b'});
  EXPECT_EQ(budget_->used(), 8192u);

  const auto both = residency_.Snapshot();
  ASSERT_EQ(both.size(), 2u);
  EXPECT_EQ(both[0].state, GenerationState::kPublished);
  EXPECT_EQ(both[0].leases, 1u);
  EXPECT_EQ(both[1].state, GenerationState::kRetiring);
  EXPECT_EQ(both[1].live.version, 1u);

  old.Release();
  EXPECT_EQ(budget_->used(), 4096u);  // freed by whoever ended the last lease
  EXPECT_EQ(residency_.freed_total(), 1u);
  EXPECT_EQ(residency_.Snapshot().size(), 1u);
}

TEST_F(ResidencyTest, WithoutReadersTheOldGenerationIsFreedAtOnce) {
  residency_.Publish(MakeGeneration(budget_, 1, 'a'));
  residency_.Publish(MakeGeneration(budget_, 2, 'b'));
  EXPECT_EQ(budget_->used(), 4096u);
  EXPECT_TRUE(residency_.Retire("acme", "chat"));
  EXPECT_EQ(budget_->used(), 0u);
  EXPECT_EQ(residency_.freed_total(), 2u);
}

TEST_F(ResidencyTest, ARetiredModelLivesUntilItsLastLease) {
  residency_.Publish(MakeGeneration(budget_, 1, 'a'));
  Lease first = residency_.Acquire("acme", "chat").value();
  Lease second = residency_.Acquire("acme", "chat").value();
  EXPECT_TRUE(residency_.Retire("acme", "chat"));
  EXPECT_THAT(residency_.Acquire("acme", "chat"), FailsWith(Errc::kNotFound, "not_resident", ""));
  first.Release();
  EXPECT_EQ(second->arena->View()[0], std::byte{'a'});
  second = Lease();
  EXPECT_EQ(budget_->used(), 0u);
}

TEST_F(ResidencyTest, HoldsNamesExactlyWhatIsPublished) {
  residency_.Publish(MakeGeneration(budget_, 3, 'a'));
  LiveModel live = residency_.Snapshot()[0].live;
  EXPECT_TRUE(residency_.Holds(live));
  live.version = 4;
  EXPECT_FALSE(residency_.Holds(live));
}

// Run under TSan: readers never see a mixed or freed generation while another thread swaps.
TEST_F(ResidencyTest, ReadersSeeOneWholeGenerationWhileAnotherThreadSwaps) {
  constexpr size_t kBytes = 4096;
  residency_.Publish(MakeGeneration(budget_, 0, 0, kBytes));
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> reads{0};
  std::vector<std::jthread> readers;
  for (int i = 0; i < 4; ++i) {
    readers.emplace_back([&] {
      while (!stop) {
        const Lease lease = residency_.Acquire("acme", "chat").value();
        const auto expected = static_cast<std::byte>(lease->live.version % 128);
        for (const std::byte b : lease->arena->View()) ASSERT_EQ(b, expected);
        ++reads;
      }
    });
  }
  for (uint64_t version = 1; version <= 300; ++version) {
    residency_.Publish(MakeGeneration(budget_, version, static_cast<char>(version % 128), kBytes));
    residency_.Snapshot();
  }
  while (reads < 100) std::this_thread::yield();
  stop = true;
  readers.clear();
  EXPECT_EQ(residency_.freed_total(), 300u);
  EXPECT_EQ(budget_->used(), kBytes);
}

TEST(ArenaTest, IsAlignedCountedAndReadOnlyOnceSealed) {
  const auto budget = std::make_shared<MemoryBudget>(100'000);
  {
    const auto arena = Arena::Create(budget, 70'001).value();
    EXPECT_EQ(reinterpret_cast<uintptr_t>(arena->View().data()) % Arena::kAlignment, 0u);
    EXPECT_EQ(arena->size(), 70'001u);
    arena->writable()[70'000] = std::byte{7};
    EXPECT_THAT(arena->Seal(), Ok());
    std::byte last{};
    EXPECT_THAT(arena->Read(70'000, {&last, 1}), Ok());
    EXPECT_EQ(last, std::byte{7});
    EXPECT_THAT(arena->Read(70'001, {&last, 1}), FailsWith(Errc::kInvalid, "out_of_range", ""));
    EXPECT_THAT(Arena::Create(budget, 30'000),
                FailsWith(Errc::kExhausted, "memory_budget",
                          "needs 30000 bytes, 29999 of 100000 are free"));
  }
  EXPECT_EQ(budget->used(), 0u);
  EXPECT_THAT(Arena::Create(budget, UINT64_MAX), FailsWith(Errc::kExhausted, "memory_budget", ""));
  EXPECT_THAT(Arena::Create(budget, 0), FailsWith(Errc::kInvalid, "empty_delta", ""));
}

}  // namespace
}  // namespace signum::client
