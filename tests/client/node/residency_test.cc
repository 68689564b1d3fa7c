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

// ---- making room

Generation Named(const std::shared_ptr<MemoryBudget>& budget, const std::string& model,
                 uint64_t version = 1) {
  Generation generation = MakeGeneration(budget, version, 'x');
  generation.live.model = model;
  generation.live.manifest_digest = Sha256::Of(AsBytes(model + std::to_string(version)));
  return generation;
}

LiveModel LiveNamed(const std::string& model) {
  LiveModel live;
  live.tenant = "acme";
  live.model = model;
  return live;
}

TEST_F(ResidencyTest, EvictsTheLeastRecentlyUsedThatNobodyReads) {
  for (const char* model : {"a", "b", "c", "d"}) residency_.Publish(Named(budget_, model));
  residency_.Pin("acme", "d");
  const Lease reader = residency_.Acquire("acme", "b").value();
  residency_.Acquire("acme", "a").value().Release();
  const auto evict = [&] { return residency_.Evict(EvictFrom::kAll, LiveNamed("new")); };
  EXPECT_EQ(evict()->live.model, "c");
  EXPECT_EQ(evict()->live.model, "a");
  EXPECT_FALSE(evict().has_value());  // b is read, d is pinned
  EXPECT_TRUE(residency_.Serves("acme", "b"));
  EXPECT_TRUE(residency_.Serves("acme", "d"));
  EXPECT_EQ(residency_.freed_total(), 2u);
}

TEST_F(ResidencyTest, AModelIsNotEvictedForItsOwnNextVersion) {
  residency_.Publish(Named(budget_, "a"));
  EXPECT_FALSE(residency_.Evict(EvictFrom::kAll, LiveNamed("a")).has_value());
  EXPECT_FALSE(residency_.Evict(EvictFrom::kKept, LiveNamed("b")).has_value());
}

TEST_F(ResidencyTest, AKeptGenerationComesBackWithoutATransfer) {
  Residency keeping(true);
  keeping.Publish(Named(budget_, "a", 1));
  const LiveModel first = keeping.Snapshot()[0].live;
  keeping.Publish(Named(budget_, "a", 2));
  EXPECT_EQ(keeping.freed_total(), 0u);
  EXPECT_EQ(keeping.Snapshot()[1].state, GenerationState::kKept);
  EXPECT_TRUE(keeping.HoldsKept(first));
  EXPECT_TRUE(keeping.Revive(first));
  EXPECT_EQ(keeping.Acquire("acme", "a").value()->live.version, 1u);
  EXPECT_FALSE(keeping.Revive(first));  // it is published now
  const auto evicted = keeping.Evict(EvictFrom::kKept, LiveNamed("b"));
  ASSERT_TRUE(evicted.has_value());
  EXPECT_EQ(evicted->live.version, 2u);
  EXPECT_FALSE(evicted->published);
}

TEST_F(ResidencyTest, KeptGenerationsGoWithTheirModel) {
  Residency keeping(true);
  keeping.Publish(Named(budget_, "a", 1));
  Lease reader = keeping.Acquire("acme", "a").value();
  keeping.Publish(Named(budget_, "a", 2));
  EXPECT_TRUE(keeping.Retire("acme", "a"));
  EXPECT_EQ(keeping.freed_total(), 1u);
  EXPECT_FALSE(keeping.Evict(EvictFrom::kAll, LiveNamed("b")).has_value());
  reader.Release();
  EXPECT_EQ(keeping.freed_total(), 2u);
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

TEST(ArenaTest, SlotsHaveFixedAddresses) {
  const auto budget = std::make_shared<MemoryBudget>(3 * 8192, 3);
  EXPECT_TRUE(budget->Fits(8192));
  EXPECT_FALSE(budget->Fits(8193));
  auto first = Arena::Create(budget, 8000).value();
  const auto second = Arena::Create(budget, 100).value();
  const std::byte* at = first->View().data();
  EXPECT_EQ(second->View().data(), at + 8192);
  first->writable()[5] = std::byte{9};
  EXPECT_THAT(first->Seal(), Ok());
  const auto third = Arena::Create(budget, 8192).value();
  EXPECT_THAT(Arena::Create(budget, 1), FailsWith(Errc::kExhausted, "slots_full", "all 3 slots"));
  EXPECT_THAT(Arena::Create(budget, 8193),
              FailsWith(Errc::kExhausted, "memory_budget", "each of 3 slots has 8192"));
  first.reset();
  EXPECT_EQ(budget->used(), 8292u);
  first = Arena::Create(budget, 8192).value();
  EXPECT_EQ(first->View().data(), at);
  EXPECT_EQ(first->View()[5], std::byte{0});  // its old contents are gone
  first->writable()[5] = std::byte{1};        // and it can be filled again
}

// Memory of something else than the host, which counts what is mapped.
class OtherMemory final : public MemoryProvider {
 public:
  explicit OtherMemory(int& mapped) : mapped_(mapped) {}
  Result<std::byte*> Map(uint64_t size, bool /*range*/) override {
    ++mapped_;
    return new std::byte[size];
  }
  void Unmap(std::byte* data, uint64_t /*size*/) override {
    --mapped_;
    delete[] data;
  }
  void Clear(std::byte* /*data*/, uint64_t /*size*/) override {}
  uint64_t granule() const override { return 256; }
  std::string reason() const override { return "other_budget"; }
  std::string option() const override { return "--other"; }

 private:
  int& mapped_;
};

TEST(MemoryBudgetTest, OfAnotherSourceRefusesInItsWords) {
  int mapped = 0;
  {
    MemoryBudget budget(1000, 0, std::make_unique<OtherMemory>(mapped));
    std::byte* data = budget.Take(600).value();
    EXPECT_EQ(mapped, 1);
    EXPECT_THAT(budget.Take(500), FailsWith(Errc::kExhausted, "other_budget",
                                            "needs 500 bytes, 400 of 1000 are free (--other)"));
    budget.Give(data, 600);
    EXPECT_EQ(mapped, 0);
    EXPECT_EQ(budget.used(), 0u);
  }
  {
    MemoryBudget budget(1100, 2, std::make_unique<OtherMemory>(mapped));
    EXPECT_THAT(budget.Reserve(), Ok());
    EXPECT_EQ(mapped, 1);
    std::byte* data = budget.Take(512).value();
    EXPECT_EQ(budget.Take(1).value(), data + 512);
    EXPECT_EQ(mapped, 1);
    EXPECT_THAT(budget.Take(513),
                FailsWith(Errc::kExhausted, "other_budget", "has 512 (--other, --slots)"));
  }
  EXPECT_EQ(mapped, 0);
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
