#include "client/node/targets.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "tests/support/result_matchers.h"

namespace signum::client {
namespace {

using std::chrono::milliseconds;

LiveModel Wish(const std::string& model, uint64_t version) {
  LiveModel live;
  live.tenant = "acme";
  live.model = model;
  live.version = version;
  live.digest = Sha256::Of(AsBytes(model + std::to_string(version)));
  live.manifest_digest = Sha256::Of(AsBytes("m" + model + std::to_string(version)));
  return live;
}

const Error kCorruptError = Fail(Errc::kCorrupt, "chunk_mismatch", "chunk 3");
const Error kAwayError = Fail(Errc::kUnavailable, "unreachable", "no route");

class TargetsTest : public testing::Test {
 protected:
  // What is due now, without waiting; or within `patience`.
  std::optional<LiveModel> TakeNow(milliseconds patience = milliseconds{20}) {
    std::stop_source stop;
    std::jthread stopper([&](const std::stop_token& taken) {
      std::mutex mutex;
      std::unique_lock lock(mutex);
      std::condition_variable_any().wait_for(lock, taken, patience, [] { return false; });
      stop.request_stop();
    });
    return targets_.Take(stop.get_token());
  }
  TargetStatus Only() {
    const auto all = targets_.Snapshot();
    EXPECT_EQ(all.size(), 1u);
    return all.at(0);
  }

  Targets targets_{RetryPolicy{milliseconds{0}, milliseconds{1}, 3}};
};

TEST_F(TargetsTest, TellWhatIsOnItsWayToADevice) {
  targets_.Want(Wish("chat", 1));
  const auto taken = TakeNow();
  targets_.Progress(*taken, 7);
  EXPECT_FALSE(Only().staging);
  targets_.Progress(*taken, 9, true);
  EXPECT_TRUE(Only().staging);
  EXPECT_EQ(Only().done, 9u);
  targets_.Applied(*taken, [] {});
  EXPECT_FALSE(Only().staging);
}

TEST_F(TargetsTest, HandsOutEachWishOnce) {
  targets_.Want(Wish("chat", 1));
  const auto taken = TakeNow();
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->version, 1u);
  EXPECT_FALSE(TakeNow());
  EXPECT_EQ(Only().state, TargetState::kLoading);
  bool published = false;
  EXPECT_TRUE(targets_.Applied(*taken, [&] { published = true; }));
  EXPECT_TRUE(published);
  EXPECT_EQ(Only().state, TargetState::kApplied);
  targets_.Want(Wish("chat", 1));  // heard again: nothing to do
  EXPECT_FALSE(TakeNow());
}

TEST_F(TargetsTest, WhatIsListedIsTakenWhenSomebodyAsks) {
  targets_.Sync("acme", {Wish("chat", 1), Wish("draw", 1)}, Millis{0}, true);
  EXPECT_FALSE(TakeNow());
  EXPECT_TRUE(targets_.Demand("acme", "chat"));
  EXPECT_EQ(TakeNow()->model, "chat");
  EXPECT_FALSE(TakeNow());
  targets_.Want(Wish("draw", 2), Millis{0}, true);
  EXPECT_EQ(targets_.Find("acme", "draw")->state, TargetState::kListed);
  targets_.Applied(Wish("chat", 1), [] {});
  targets_.Want(Wish("chat", 2), Millis{0}, true);  // it is in use: the new one is fetched
  EXPECT_EQ(TakeNow()->version, 2u);
}

TEST_F(TargetsTest, WrongBytesAreTriedABoundedNumberOfTimes) {
  targets_.Want(Wish("chat", 1));
  int tries = 0;
  while (const auto taken = TakeNow()) {
    ++tries;
    targets_.Failed(*taken, kCorruptError);
    EXPECT_EQ(Only().reason, "chunk_mismatch");
  }
  EXPECT_EQ(tries, 3);
  EXPECT_TRUE(Only().gave_up);
  EXPECT_EQ(Only().state, TargetState::kRefused);
  targets_.Want(Wish("chat", 2));  // a new wish starts the count anew
  EXPECT_TRUE(TakeNow());
}

TEST_F(TargetsTest, WhatWasGivenUpIsTriedRarely) {
  Targets targets{RetryPolicy{milliseconds{0}, milliseconds{1}, 1}, milliseconds{100}};
  targets.Want(Wish("chat", 1));
  std::stop_source stop;
  const auto begin = std::chrono::steady_clock::now();
  for (int tries = 0; tries < 3; ++tries) {
    const auto taken = targets.Take(stop.get_token());
    ASSERT_TRUE(taken);
    EXPECT_TRUE(targets.Failed(*taken, kCorruptError));
  }
  EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds{200});
  EXPECT_TRUE(targets.Snapshot().at(0).gave_up);
}

TEST_F(TargetsTest, PassingTroubleIsTriedWithoutEnd) {
  targets_.Want(Wish("chat", 1));
  for (int i = 0; i < 10; ++i) {
    const auto taken = TakeNow(milliseconds{10000});
    ASSERT_TRUE(taken) << i;
    targets_.Failed(*taken, kAwayError);
  }
  EXPECT_FALSE(Only().gave_up);
}

TEST_F(TargetsTest, AWishThatChangedMeanwhileIsNotPublished) {
  targets_.Want(Wish("chat", 1));
  const auto taken = TakeNow();
  targets_.Want(Wish("chat", 2));
  EXPECT_FALSE(TakeNow());  // one loader a model
  bool published = false;
  EXPECT_FALSE(targets_.Applied(*taken, [&] { published = true; }));
  EXPECT_FALSE(published);
  const auto next = TakeNow();
  ASSERT_TRUE(next);
  EXPECT_EQ(next->version, 2u);
  targets_.Failed(*taken, kCorruptError);  // a late word about the old wish does not count
  EXPECT_EQ(Only().failures, 0);
}

TEST_F(TargetsTest, TwoTenantsThatShareADeltaTakeTurns) {
  LiveModel other = Wish("chat", 1);
  other.tenant = "other";
  targets_.Want(Wish("chat", 1));
  targets_.Want(other);
  const auto first = TakeNow();
  ASSERT_TRUE(first);
  EXPECT_FALSE(TakeNow());
  targets_.Applied(*first, [] {});
  const auto second = TakeNow();
  ASSERT_TRUE(second);
  EXPECT_NE(second->tenant, first->tenant);
}

TEST_F(TargetsTest, ARemovedWishIsNotPublished) {
  targets_.Want(Wish("chat", 1));
  const auto taken = TakeNow();
  EXPECT_TRUE(targets_.Remove("acme", "chat"));
  EXPECT_FALSE(targets_.Applied(*taken, [] { FAIL(); }));
  EXPECT_FALSE(targets_.Remove("acme", "chat"));
}

TEST_F(TargetsTest, SyncRemovesWhatATenantNoLongerLists) {
  targets_.Sync("acme", {Wish("a", 1), Wish("b", 1)});
  LiveModel foreign = Wish("c", 1);
  foreign.tenant = "other";
  targets_.Sync("other", {foreign});
  EXPECT_EQ(targets_.Sync("acme", {Wish("b", 2)}), std::vector<std::string>{"a"});
  EXPECT_EQ(targets_.Wanted("acme"), std::vector<LiveModel>{Wish("b", 2)});
  EXPECT_EQ(targets_.Wanted("other").size(), 1u);
  EXPECT_TRUE(targets_.WantedDigests().contains(foreign.digest));
  EXPECT_TRUE(targets_.WantedDigests().contains(foreign.manifest_digest));
}

TEST_F(TargetsTest, ANewWishIsSpreadOverTheWindow) {
  constexpr int kNodes = 400;
  const milliseconds window{60'000};
  int early = 0;
  for (int i = 0; i < kNodes; ++i) {
    Targets node{RetryPolicy{}};
    node.Want(Wish("chat", 1), window);
    const auto due = node.Due("acme", "chat").value() - Targets::Clock::now();
    EXPECT_LE(due, window);
    early += due < window / 2 ? 1 : 0;
  }
  // Uniform: half of them in the first half, give or take five standard deviations.
  EXPECT_NEAR(early, kNodes / 2, 50);
}

TEST_F(TargetsTest, HearingTheSameWishAgainDoesNotPutItOff) {
  targets_.Want(Wish("chat", 1));
  targets_.Want(Wish("chat", 1), milliseconds{3'600'000});
  targets_.Sync("acme", {Wish("chat", 1)}, milliseconds{3'600'000});
  EXPECT_TRUE(TakeNow());
}

TEST_F(TargetsTest, WaitsForAsLongAsTheRegistryAsked) {
  targets_.Want(Wish("chat", 1));
  const auto first = TakeNow();
  ASSERT_TRUE(first);
  const auto before = Targets::Clock::now();
  targets_.Failed(*first, kAwayError, milliseconds{200});
  ASSERT_TRUE(targets_.Take({}));
  EXPECT_GE(Targets::Clock::now() - before, milliseconds{200});
  for (int i = 0; i < 5; ++i) targets_.Failed(*first, kAwayError);  // the tries are used up
  targets_.Failed(*first, kAwayError, milliseconds{3'600'000});
  const auto due = targets_.Due("acme", "chat").value() - Targets::Clock::now();
  EXPECT_GT(due, kMaxRetryAfter - milliseconds{1000});  // bounded
  EXPECT_LE(due, kMaxRetryAfter + milliseconds{1});
}

TEST_F(TargetsTest, AWaitingTakeHearsANewWish) {
  std::jthread wisher([&] {
    std::this_thread::sleep_for(milliseconds{20});
    targets_.Want(Wish("chat", 1));
  });
  EXPECT_TRUE(targets_.Take({}));
}

TEST_F(TargetsTest, TakeEndsWhenStopped) {
  std::stop_source stop;
  std::jthread stopper([&] {
    std::this_thread::sleep_for(milliseconds{20});
    stop.request_stop();
  });
  EXPECT_FALSE(targets_.Take(stop.get_token()));
}

TEST_F(TargetsTest, AStoredTargetIsLoadedWhenSomebodyAsks) {
  targets_.Want(Wish("chat", 1));
  targets_.Stored(*TakeNow());
  EXPECT_EQ(Only().state, TargetState::kStored);
  EXPECT_FALSE(TakeNow().has_value());
  EXPECT_FALSE(targets_.Demand("acme", "other"));
  EXPECT_TRUE(targets_.Demand("acme", "chat"));
  const auto taken = TakeNow();
  ASSERT_TRUE(taken.has_value());
  EXPECT_TRUE(targets_.Demanded(*taken));
  targets_.Applied(*taken, [] {});
  EXPECT_FALSE(targets_.Demanded(*taken));
}

TEST_F(TargetsTest, WhatSomebodyWaitsForComesFirst) {
  targets_.Want(Wish("a", 1));
  targets_.Want(Wish("b", 1));
  targets_.Demand("acme", "b");
  EXPECT_EQ(TakeNow()->model, "b");
}

TEST_F(TargetsTest, OneAskedForWhileItIsStoredIsLoaded) {
  targets_.Want(Wish("chat", 1));
  const LiveModel taken = *TakeNow();
  targets_.Demand("acme", "chat");
  targets_.Stored(taken);
  EXPECT_TRUE(TakeNow().has_value());
}

TEST_F(TargetsTest, APostponedTargetCountsNoFailure) {
  targets_.Want(Wish("chat", 1));
  targets_.Postpone(*TakeNow(), Millis{1});
  EXPECT_EQ(Only().failures, 0);
  EXPECT_TRUE(TakeNow().has_value());
}

// A model whose old version is evicted while the new one is being loaded.
TEST_F(TargetsTest, EvictingAnOldVersionLeavesTheNewOnesLoadAlone) {
  targets_.Want(Wish("chat", 2));
  const LiveModel taken = *TakeNow();
  targets_.Stored(Wish("chat", 1));
  EXPECT_EQ(Only().state, TargetState::kLoading);
  EXPECT_TRUE(targets_.Applied(taken, [] {}));
}

}  // namespace
}  // namespace signum::client
