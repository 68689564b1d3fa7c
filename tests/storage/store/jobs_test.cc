// The jobs of the catalog.

#include <atomic>
#include <thread>

#include "storage/catalog.h"
#include "tests/storage/store/store_support.h"

namespace signum {
namespace {

using ::testing::ElementsAre;

class JobsTest : public ::testing::TestWithParam<EngineKind> {
 protected:
  JobsTest() { Start(); }

  void Start() {
    catalog_ = std::make_unique<Catalog>(*engine_, clock_, CatalogOptions{.max_attempts = 5});
  }
  // As a new process finds it: nothing of the old one's memory.
  void Restart() {
    catalog_.reset();
    engine_.Reopen();
    Start();
  }

  std::string Create(std::string tenant = "acme") {
    VersionRecord version;
    version.tenant = std::move(tenant);
    version.model = "chat";
    return catalog_->CreateVersion(version)->job;
  }
  std::string Claim() {
    const auto job = catalog_->ClaimJob();
    EXPECT_THAT(job, Ok());
    return *job ? (*job)->id : "";
  }
  VersionState StateOf(uint64_t version) {
    return catalog_->GetVersion("acme", "chat", version)->state;
  }

  ManualClock clock_;
  EngineHolder engine_{GetParam()};
  std::unique_ptr<Catalog> catalog_;
};

TEST_P(JobsTest, AreClaimedOldestFirstOverAllTenants) {
  const std::string first = Create("zeta");
  const std::string second = Create("acme");
  const std::string third = Create("acme");
  EXPECT_LT(first, second);
  EXPECT_EQ(Claim(), first);
  EXPECT_EQ(Claim(), second);
  EXPECT_EQ(Claim(), third);
  EXPECT_EQ(Claim(), "");
  EXPECT_EQ(StateOf(1), VersionState::kRunning);
  const JobRecord job = *catalog_->GetJob(second);
  EXPECT_EQ(job.state, JobState::kRunning);
  EXPECT_EQ(job.attempts, 1);
  EXPECT_EQ(job.kind, "compress");
  EXPECT_EQ(job.version, 1);
}

TEST_P(JobsTest, AreClaimedOnceByManyWorkers) {
  for (int i = 0; i < 12; ++i) Create();
  std::atomic<int> claimed = 0;
  {
    std::vector<std::jthread> workers;
    for (int t = 0; t < 4; ++t) {
      workers.emplace_back([&] {
        while (catalog_->ClaimJob()->has_value()) ++claimed;
      });
    }
  }
  EXPECT_EQ(claimed, 12);
}

TEST_P(JobsTest, AreClaimedPastThoseThatMayNotBegin) {
  const std::string first = Create();
  const std::string second = Create();
  const auto but_first = [&](const JobRecord& job) { return job.id != first; };
  EXPECT_EQ((**catalog_->ClaimJob(but_first)).id, second);
  EXPECT_FALSE(catalog_->ClaimJob(but_first)->has_value());
  EXPECT_EQ(Claim(), first);
}

TEST_P(JobsTest, AreListedInPages) {
  const std::string first = Create("b");
  const std::string second = Create("a");
  const std::string third = Create("b");
  const auto page = *catalog_->ListJobs("", 2);
  ASSERT_EQ(page.size(), 2);
  EXPECT_EQ(page[0].id, first);
  EXPECT_EQ(page[1].id, second);
  EXPECT_EQ(catalog_->ListJobs(second, 10)->front().id, third);
  for (const char* id : {"", "x", "0123456789abcdef01-", "0123456789abcdef01-acme",
                         "0123456789abcdef012/../x", "0123456789abcdef01-acme/job/x"}) {
    EXPECT_THAT(catalog_->GetJob(id), FailsWith(Errc::kNotFound, "unknown_job", "")) << id;
  }
}

TEST_P(JobsTest, ShowProgressAtOnceAndSyncItNowAndThen) {
  const std::string id = Create();
  EXPECT_THAT(catalog_->ReportProgress(id, "ingest", 0.1, 1, 1),
              FailsWith(Errc::kConflict, "job_not_running", "queued"));
  Claim();
  const auto stored = [&] {
    const auto jobs = *engine_->Scan("t/acme/job/", "t/acme/job0", 1);
    return jobs[0].value;
  };
  ASSERT_THAT(catalog_->ReportProgress(id, "ingest", 0.1, 5e8, 3), Ok());
  const std::string synced = stored();
  clock_.Advance(std::chrono::milliseconds(500));
  ASSERT_THAT(catalog_->ReportProgress(id, "ingest", 0.2, 6e8, 2), Ok());
  EXPECT_EQ(stored(), synced);  // too soon for another write
  JobRecord job = *catalog_->GetJob(id);
  EXPECT_EQ(job.phase, "ingest");
  EXPECT_EQ(job.progress, 0.2);
  EXPECT_EQ(job.rate, 6e8);
  EXPECT_EQ(job.eta_seconds, 2);
  EXPECT_EQ(catalog_->ListJobs("", 1)->front().progress, 0.2);
  clock_.Advance(std::chrono::milliseconds(600));
  ASSERT_THAT(catalog_->ReportProgress(id, "ingest", 0.3, 6e8, 1), Ok());
  EXPECT_NE(stored(), synced);
  const std::string before_phase = stored();
  ASSERT_THAT(catalog_->ReportProgress(id, "compress", 0.3, 0, -1), Ok());
  EXPECT_NE(stored(), before_phase);  // a new phase is always written
  if (!GetParam().durable) return;
  Restart();
  EXPECT_EQ(catalog_->GetJob(id)->phase, "compress");
}

TEST_P(JobsTest, CancelsQueuedOnesAtOnce) {
  const std::string id = Create();
  const auto job = catalog_->CancelJob(id);
  ASSERT_THAT(job, Ok());
  EXPECT_EQ(job->state, JobState::kCancelled);
  const VersionRecord version = *catalog_->GetVersion("acme", "chat", 1);
  EXPECT_EQ(version.state, VersionState::kFailed);
  EXPECT_EQ(version.error_reason, "cancelled");
  EXPECT_EQ(Claim(), "");
  EXPECT_THAT(catalog_->CancelJob(id), FailsWith(Errc::kConflict, "job_finished", "cancelled"));
  EXPECT_THAT(catalog_->CancelJob("none"), FailsWith(Errc::kNotFound, "unknown_job", "none"));
}

TEST_P(JobsTest, AsksRunningOnesToStop) {
  const std::string id = Create();
  Claim();
  EXPECT_EQ(catalog_->CancelJob(id)->state, JobState::kRunning);
  EXPECT_TRUE(catalog_->ReportProgress(id, "ingest", 0, 0, -1)->cancel_requested);
  // A worker that writes its older copy of the record does not lose the request.
  JobRecord job = *catalog_->GetJob(id);
  job.cancel_requested = false;
  ASSERT_THAT(catalog_->UpdateVersion(*catalog_->GetVersion("acme", "chat", 1), &job), Ok());
  EXPECT_TRUE(catalog_->GetJob(id)->cancel_requested);
}

TEST_P(JobsTest, OfADeadProcessAreQueuedAgain) {
  const std::string id = Create();
  Claim();
  ASSERT_THAT(catalog_->ReportProgress(id, "compress", 0.5, 1, 1), Ok());
  if (GetParam().durable) Restart();
  EXPECT_EQ(*catalog_->RequeueRunningJobs(), 1);
  EXPECT_EQ(catalog_->GetJob(id)->state, JobState::kQueued);
  EXPECT_EQ(catalog_->GetJob(id)->progress, 0);
  EXPECT_EQ(StateOf(1), VersionState::kQueued);
  EXPECT_EQ(*catalog_->RequeueRunningJobs(), 0);
  EXPECT_EQ(Claim(), id);
  EXPECT_EQ(catalog_->GetJob(id)->attempts, 2);
}

TEST_P(JobsTest, FailAfterTooManyAttempts) {
  const std::string id = Create();
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(Claim(), id);
    EXPECT_EQ(*catalog_->RequeueRunningJobs(), 1);
  }
  EXPECT_EQ(Claim(), id);
  EXPECT_EQ(*catalog_->RequeueRunningJobs(), 0);
  EXPECT_EQ(catalog_->GetJob(id)->state, JobState::kFailed);
  EXPECT_EQ(catalog_->GetJob(id)->error_reason, "too_many_attempts");
  EXPECT_EQ(catalog_->GetVersion("acme", "chat", 1)->error_reason, "too_many_attempts");
  EXPECT_EQ(Claim(), "");
}

TEST_P(JobsTest, ReleasedOnesDoNotCountAsAttempts) {
  const std::string id = Create();
  EXPECT_THAT(catalog_->ReleaseJob(id), FailsWith(Errc::kConflict, "job_not_running", "queued"));
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(Claim(), id);
    ASSERT_THAT(catalog_->ReleaseJob(id), Ok());
  }
  EXPECT_EQ(catalog_->GetJob(id)->attempts, 0);
  EXPECT_EQ(StateOf(1), VersionState::kQueued);
}

TEST_P(JobsTest, CancelledWhileTheProcessDiedAreCancelled) {
  const std::string id = Create();
  Claim();
  ASSERT_THAT(catalog_->CancelJob(id), Ok());
  EXPECT_EQ(*catalog_->RequeueRunningJobs(), 0);
  EXPECT_EQ(catalog_->GetJob(id)->state, JobState::kCancelled);
  EXPECT_EQ(StateOf(1), VersionState::kFailed);
}

// A process that dies between the index and the version leaves an entry that leads nowhere.
TEST_P(JobsTest, AnIndexEntryWithoutAJobIsIgnored) {
  ASSERT_THAT(PutKey(*engine_, "g/job/all/0123456789abcd0123-acme", ""), Ok());
  ASSERT_THAT(PutKey(*engine_, "g/job/open/0123456789abcd0123-acme", ""), Ok());
  EXPECT_TRUE(catalog_->ListJobs("", 10)->empty());
  EXPECT_EQ(Claim(), "");
  EXPECT_EQ(*catalog_->RequeueRunningJobs(), 0);
  EXPECT_EQ(*engine_->Get("g/job/open/0123456789abcd0123-acme"), std::nullopt);
}

TEST_P(JobsTest, TellWatchersOfEveryChange) {
  std::vector<std::string> told;
  const auto watch = catalog_->WatchJobs([&](std::string_view id) { told.emplace_back(id); });
  const std::string id = Create();
  Claim();
  ASSERT_THAT(catalog_->ReportProgress(id, "ingest", 0.1, 1, 1), Ok());
  ASSERT_THAT(catalog_->ReportProgress(id, "ingest", 0.2, 1, 1), Ok());
  VersionRecord version = *catalog_->GetVersion("acme", "chat", 1);
  JobRecord job = *catalog_->GetJob(id);
  version.state = VersionState::kReady;
  job.state = JobState::kDone;
  ASSERT_THAT(catalog_->FinishVersion(version, job), Ok());
  EXPECT_THAT(told, ElementsAre(id, id, id, id, id));
}

TEST_P(JobsTest, OfTheStoreAreClaimedByTheirKindAlone) {
  const JobRecord gc = *catalog_->CreateSystemJob("gc", "{}");
  const JobRecord scrub = *catalog_->CreateSystemJob("scrub", R"({"sample":0.5})");
  EXPECT_EQ(Claim(), "") << "a worker takes jobs of versions alone";
  const std::string version = Create();
  EXPECT_EQ((*catalog_->ClaimSystemJob("scrub"))->id, scrub.id);
  EXPECT_EQ(*catalog_->ClaimSystemJob("scrub"), std::nullopt);
  EXPECT_EQ(Claim(), version);
  JobRecord job = **catalog_->ClaimSystemJob("gc");
  EXPECT_EQ(job.id, gc.id);
  ASSERT_THAT(catalog_->ReportProgress(job.id, "mark", 0.5, 0, 1), Ok());
  job.state = JobState::kDone;
  job.result_json = R"({"live":3})";
  ASSERT_THAT(catalog_->FinishSystemJob(job), Ok());
  EXPECT_EQ(catalog_->GetJob(gc.id)->result_json, R"({"live":3})");
  EXPECT_EQ(catalog_->GetJob(scrub.id)->request_json, R"({"sample":0.5})");
  EXPECT_TRUE(catalog_->ListTenants("", 9)->size() == 1) << "the store is no tenant";
  EXPECT_EQ(catalog_->ListJobs("", 9)->size(), 3);
}

TEST_P(JobsTest, OfTheStoreGoOnAfterACrashAndCanBeCancelled) {
  const std::string id = catalog_->CreateSystemJob("backup", "{}")->id;
  ASSERT_THAT(catalog_->ClaimSystemJob("backup"), Ok());
  Restart();
  EXPECT_EQ(*catalog_->RequeueRunningJobs(), 1);
  EXPECT_EQ(catalog_->GetJob(id)->state, JobState::kQueued);
  EXPECT_EQ(catalog_->CancelJob(id)->state, JobState::kCancelled);
  EXPECT_EQ(*catalog_->ClaimSystemJob("backup"), std::nullopt);
}

TEST_P(JobsTest, OfTheStoreTheNewestAreKept) {
  for (size_t i = 0; i < Catalog::kSystemJobsKept + 5; ++i) {
    catalog_->CreateSystemJob("gc", "{}").value();
    JobRecord job = **catalog_->ClaimSystemJob("gc");
    job.state = JobState::kDone;
    ASSERT_THAT(catalog_->FinishSystemJob(job), Ok());
  }
  const auto jobs = *catalog_->ListJobs("", 1000);
  EXPECT_EQ(jobs.size(), Catalog::kSystemJobsKept + 1);
  EXPECT_EQ(catalog_->ListSystemJobs()->back().id, jobs.back().id);
}

INSTANTIATE_TEST_SUITE_P(Engines, JobsTest, ::testing::Values(kMemory, kRocks), EngineName);

}  // namespace
}  // namespace signum
