#include "storage/retention.h"

#include <algorithm>

#include "tests/storage/store/store_support.h"

namespace signum {
namespace {

constexpr UnixMicros kDay = 24ll * 3600 * 1'000'000;

class RetentionTest : public ::testing::Test {
 protected:
  // The next version of acme/chat, in that state.
  void Add(VersionState state = VersionState::kReady) {
    VersionRecord version;
    version.tenant = "acme";
    version.model = "chat";
    version = *catalog_.CreateVersion(version);
    if (state == VersionState::kQueued) return;
    auto job = **catalog_.ClaimJob();
    version.state = state;
    version.exact_kept = true;
    job.state = JobState::kDone;
    ASSERT_THAT(catalog_.FinishVersion(version, job), Ok());
  }

  // The numbers that a policy lets go.
  std::vector<uint64_t> Gone(const RetentionPolicy& policy) {
    EXPECT_THAT(PutPolicy(*engine_, "acme", policy), Ok());
    const auto plan = PlanRetention(*engine_, catalog_, clock_.Now());
    EXPECT_THAT(plan, Ok());
    std::vector<uint64_t> numbers;
    for (const OutOfPolicy& out : plan->versions) numbers.push_back(out.version.version);
    return numbers;
  }

  ManualClock clock_;
  EngineHolder engine_{kMemory};
  Catalog catalog_{*engine_, clock_};
};

using Numbers = std::vector<uint64_t>;

TEST_F(RetentionTest, ThePolicyComesBack) {
  EXPECT_EQ(*GetPolicy(*engine_, "acme"), std::nullopt);
  const RetentionPolicy policy{3, 86400, false, false};
  ASSERT_THAT(PutPolicy(*engine_, "acme", policy), Ok());
  EXPECT_EQ(*GetPolicy(*engine_, "acme"), policy);
  EXPECT_THAT(PutPolicy(*engine_, "_system", policy), FailsWith(Errc::kInvalid, "bad_name", ""));
}

TEST_F(RetentionTest, WithoutAPolicyEverythingStays) {
  for (int i = 0; i < 5; ++i) Add();
  EXPECT_EQ(Gone({}), Numbers());
}

// live is version 1, the first that was ready; latest is 6.
TEST_F(RetentionTest, KeepsTheLastAndWhatAliasesPointAt) {
  for (int i = 0; i < 6; ++i) Add();
  EXPECT_EQ(Gone({.keep_last = 2}), (Numbers{2, 3, 4}));
  ASSERT_THAT(catalog_.SetAlias("acme", "chat", "beta", 3, {}), Ok());
  EXPECT_EQ(Gone({.keep_last = 2}), (Numbers{2, 4}));
  EXPECT_EQ(Gone({.keep_last = 6}), Numbers());
}

TEST_F(RetentionTest, KeepsWhatARollbackGoesBackTo) {
  for (int i = 0; i < 6; ++i) Add();
  ASSERT_THAT(catalog_.SetAlias("acme", "chat", "live", 6, {}), Ok());
  EXPECT_EQ(Gone({.keep_last = 1}), (Numbers{2, 3, 4}));  // 5 was latest before 6
  EXPECT_EQ(Gone({.keep_last = 1, .keep_aliases = false}), (Numbers{1, 2, 3, 4, 5}));
}

TEST_F(RetentionTest, AgeIsOfWhatIsFinished) {
  Add();
  Add();
  clock_.Advance(std::chrono::hours(48));
  Add();
  Add();
  const RetentionPolicy policy{.max_age_seconds = 86400, .keep_aliases = false};
  EXPECT_EQ(Gone(policy), Numbers{2});
  clock_.Advance(std::chrono::hours(48));
  EXPECT_EQ(Gone(policy), (Numbers{2, 3}));
}

// A version goes when no rule keeps it.
TEST_F(RetentionTest, TwoRulesKeepWhatEitherKeeps) {
  for (int i = 0; i < 4; ++i) Add();
  RetentionPolicy policy{.keep_last = 2, .max_age_seconds = 86400, .keep_aliases = false};
  EXPECT_EQ(Gone(policy), Numbers());
  clock_.Advance(std::chrono::hours(48));
  EXPECT_EQ(Gone(policy), Numbers{2});
  const auto plan = PlanRetention(*engine_, catalog_, clock_.Now());
  EXPECT_EQ(plan->versions[0].why, "policy keep_last 2 max_age 86400");
}

TEST_F(RetentionTest, FailedOnesDoNotPushGoodOnesOut) {
  Add();
  Add();
  for (int i = 0; i < 5; ++i) Add(VersionState::kFailed);
  Add();
  EXPECT_EQ(Gone({.keep_last = 2, .keep_aliases = false}), Numbers());
  Add();
  EXPECT_EQ(Gone({.keep_last = 2, .keep_aliases = false}), (Numbers{2, 3, 4, 5, 6, 7}));
}

TEST_F(RetentionTest, WhatIsNotFinishedStays) {
  Add();
  Add(VersionState::kQueued);
  clock_.Advance(std::chrono::hours(48));
  EXPECT_EQ(Gone({.max_age_seconds = 1, .keep_aliases = false}), Numbers());
}

TEST_F(RetentionTest, ExactUploadsAreGivenUpWhereAskedFor) {
  Add();
  Add();
  ASSERT_THAT(PutPolicy(*engine_, "acme", {.keep_exact = false}), Ok());
  EXPECT_EQ(PlanRetention(*engine_, catalog_, clock_.Now())->exact.size(), 2);
  ASSERT_THAT(catalog_.ForgetExact("acme", "chat", 1), Ok());
  EXPECT_EQ(PlanRetention(*engine_, catalog_, clock_.Now())->exact.size(), 1);
}

}  // namespace
}  // namespace signum
