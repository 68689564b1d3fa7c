#include "client/node/host_tier.h"

#include <gtest/gtest.h>

#include "tests/client/node/node_fixtures.h"
#include "tests/support/result_matchers.h"

namespace signum::client {
namespace {

class HostTierTest : public testing::Test {
 protected:
  LiveModel Keep(uint64_t version) {
    const Generation generation = MakeGeneration(budget_, version, 'a');
    tier_.Keep(generation);
    return generation.live;
  }
  // The version that goes next, where those of `on_device` are there; 0: none.
  uint64_t Evict(std::vector<uint64_t> on_device = {}) {
    const std::vector<LiveModel> before = tier_.Snapshot();
    const bool evicted = tier_.Evict([&](const LiveModel& live) {
      return std::find(on_device.begin(), on_device.end(), live.version) != on_device.end();
    });
    EXPECT_EQ(before.size() - tier_.Snapshot().size(), evicted ? 1U : 0U);
    for (const LiveModel& live : before) {
      if (!tier_.Holds(live)) return live.version;
    }
    return 0;
  }

  std::shared_ptr<MemoryBudget> budget_ = std::make_shared<MemoryBudget>(1 << 20);
  HostTier tier_;
};

TEST_F(HostTierTest, ACopyIsFoundUntilItIsDropped) {
  const LiveModel live = Keep(1);
  ASSERT_TRUE(tier_.Find(live).has_value());
  EXPECT_EQ(tier_.Find(live)->arena->View()[9], std::byte{'a'});
  LiveModel other = live;
  other.version = 2;
  EXPECT_FALSE(tier_.Find(other).has_value());
  other = live;
  other.manifest_digest = Sha256::Of(AsBytes("another"));
  EXPECT_FALSE(tier_.Find(other).has_value());
  tier_.Keep(*tier_.Find(live));  // again: still one
  EXPECT_EQ(tier_.Snapshot().size(), 1U);
  tier_.Drop(live);
  EXPECT_FALSE(tier_.Find(live).has_value());
  EXPECT_EQ(budget_->used(), 0U);
}

TEST_F(HostTierTest, AModelThatIsNotWantedIsForgottenWhole) {
  const LiveModel one = Keep(1);
  Keep(2);
  tier_.Forget(one.tenant, "other");
  EXPECT_EQ(tier_.Snapshot().size(), 2U);
  tier_.Forget(one.tenant, one.model);
  EXPECT_TRUE(tier_.Snapshot().empty());
  EXPECT_EQ(budget_->used(), 0U);
}

TEST_F(HostTierTest, WhatWasUsedTheLongestAgoGoesFirst) {
  const LiveModel one = Keep(1);
  const LiveModel two = Keep(2);
  Keep(3);
  EXPECT_TRUE(tier_.Find(one).has_value());
  tier_.Touch(two);
  EXPECT_EQ(Evict(), 3U);
  EXPECT_EQ(Evict(), 1U);
  EXPECT_EQ(Evict(), 2U);
  EXPECT_EQ(Evict(), 0U);
  EXPECT_EQ(budget_->used(), 0U);
}

TEST_F(HostTierTest, CopiesOfWhatIsOnTheDeviceGoBeforeOthers) {
  for (uint64_t version = 1; version <= 4; ++version) Keep(version);
  EXPECT_EQ(Evict({2, 4}), 2U);
  EXPECT_EQ(Evict({2, 4}), 4U);
  EXPECT_EQ(Evict({2, 4}), 1U);
}

TEST_F(HostTierTest, ACopyThatIsBeingStagedIsFreedAfterwards) {
  std::optional<Generation> staged = tier_.Find(Keep(1));
  EXPECT_EQ(Evict(), 1U);
  EXPECT_EQ(budget_->used(), 4096U);
  staged.reset();
  EXPECT_EQ(budget_->used(), 0U);
}

TEST(MemoryBudget, WhatIsBesideCountsAgainstTheTotal) {
  const auto budget = std::make_shared<MemoryBudget>(10'000);
  const auto arena = Arena::Create(budget, 4096).value();
  ASSERT_THAT(budget->Charge(5000), Ok());
  EXPECT_EQ(budget->used(), 4096U);
  EXPECT_EQ(budget->beside(), 5000U);
  EXPECT_EQ(budget->free(), 904U);
  EXPECT_THAT(budget->Charge(905), FailsWith(Errc::kExhausted, "memory_budget", "904 of 10000"));
  EXPECT_THAT(Arena::Create(budget, 905), FailsWith(Errc::kExhausted, "memory_budget", "904"));
  budget->Discharge(5000);
  EXPECT_EQ(budget->free(), 5904U);
}

// The places of slots are the total: what is beside them takes none.
TEST(MemoryBudget, WhatIsBesideSlotsTakesNone) {
  const auto budget = std::make_shared<MemoryBudget>(8192, 2);
  ASSERT_THAT(budget->Charge(100'000), Ok());
  EXPECT_EQ(budget->beside(), 100'000U);
  EXPECT_THAT(Arena::Create(budget, 4096), Ok());
}

}  // namespace
}  // namespace signum::client
