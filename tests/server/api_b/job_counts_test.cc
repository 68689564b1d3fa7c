#include "server/job_counts.h"

#include <gtest/gtest.h>

#include "storage/base/clock.h"
#include "tests/support/result_matchers.h"

namespace signum {
namespace {

constexpr uint64_t kMany = 12'000;

class JobCountsTest : public ::testing::Test {
 protected:
  void EndJobs(uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) {
      VersionRecord version;
      version.tenant = "acme";
      version.model = "chat";
      const auto queued = catalog_.CreateVersion(version);
      ASSERT_THAT(queued, Ok());
      ASSERT_THAT(catalog_.CancelJob(queued->job), Ok());
    }
  }

  const SystemClock clock_{};
  std::unique_ptr<Engine> engine_ = NewMemoryEngine();
  Catalog catalog_{*engine_, clock_};
};

TEST_F(JobCountsTest, RemembersABoundedNumberOfThoseThatEnded) {
  JobCounts counts(catalog_);
  for (int scrape = 0; scrape < 4; ++scrape) {
    EXPECT_EQ(counts.Read().value().at("cancelled"), scrape * kMany / 4);
    EndJobs(kMany / 4);
  }
  EXPECT_EQ(counts.Read().value().at("cancelled"), kMany);
  EXPECT_EQ(counts.Read().value().at("queued"), 0u);
  EXPECT_LE(counts.remembered(), 10'000u);
}

TEST_F(JobCountsTest, RemembersABoundedNumberWhereNobodyScrapes) {
  JobCounts counts(catalog_);
  EndJobs(10);
  EXPECT_EQ(counts.remembered(), 0u) << "the first read reads all";
  EXPECT_EQ(counts.Read().value().at("cancelled"), 10u);
  EndJobs(kMany);
  EXPECT_LE(counts.remembered(), 10'010u);
  EXPECT_EQ(counts.Read().value().at("cancelled"), 10 + kMany);
  EndJobs(5);
  EXPECT_EQ(counts.Read().value().at("cancelled"), 15 + kMany);
}

}  // namespace
}  // namespace signum
