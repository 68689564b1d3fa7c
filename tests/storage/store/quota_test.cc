#include "storage/quota.h"

#include <thread>

#include "tests/storage/store/counting_engine.h"
#include "tests/storage/store/store_support.h"

namespace signum {
namespace {

class QuotaTest : public ::testing::Test {
 protected:
  QuotaTest() { Start({}); }

  void Start(const Quota& defaults) {
    quotas_.reset();
    auto uploads = Uploads::Open(*engine_, clock_, engine_.directory() / "uploads", {});
    ASSERT_THAT(uploads, Ok());
    uploads_ = *std::move(uploads);
    auto opened = Quotas::Open(*engine_, catalog_, *uploads_, defaults);
    ASSERT_THAT(opened, Ok());
    quotas_ = *std::move(opened);
  }

  std::string Stage(uint64_t size) {
    UploadFile file;
    file.path = "a";
    file.size = size;
    return uploads_->Create("token:1", "acme", {file})->id;
  }
  VersionRecord Queue(const std::string& model, uint64_t upload_bytes) {
    VersionRecord version;
    version.tenant = "acme";
    version.model = model;
    version.upload_bytes = upload_bytes;
    return *catalog_.CreateVersion(version);
  }
  // Ends the oldest job.
  void Finish(VersionState state, bool exact_kept, uint64_t delta_bytes) {
    auto job = **catalog_.ClaimJob();
    auto version = *catalog_.GetVersion(job.tenant, job.model, job.version);
    version.state = state;
    version.exact_kept = exact_kept;
    version.delta_bytes = delta_bytes;
    job.state = JobState::kDone;
    ASSERT_THAT(catalog_.FinishVersion(version, job), Ok());
  }
  void ExpectUsage(uint64_t bytes, uint64_t versions, uint64_t jobs) {
    const auto usage = quotas_->UsageOf("acme");
    ASSERT_THAT(usage, Ok());
    EXPECT_EQ(usage->bytes, bytes);
    EXPECT_EQ(usage->versions, versions);
    EXPECT_EQ(usage->jobs, jobs);
  }

  ManualClock clock_;
  EngineHolder engine_{kMemory};
  Catalog catalog_{*engine_, clock_};
  std::unique_ptr<Uploads> uploads_;
  std::unique_ptr<Quotas> quotas_;
};

TEST_F(QuotaTest, ComesBackAndDefaultsFillIn) {
  EXPECT_EQ(quotas_->Get("acme"), Quota());
  const Quota quota{1000, {}, 0, 0.5, {}};
  ASSERT_THAT(quotas_->Put("acme", quota), Ok());
  EXPECT_EQ(quotas_->Get("acme"), quota);
  Start({5, 6, 7, 8, 9});
  EXPECT_EQ(quotas_->Get("acme"), quota) << "as a new process reads it";
  EXPECT_EQ(quotas_->InForce("acme"), (Quota{1000, 6, 0, 0.5, 9}));
  EXPECT_EQ(quotas_->InForce("globex"), (Quota{5, 6, 7, 8, 9}));
  EXPECT_THAT(quotas_->Put("_system", quota), FailsWith(Errc::kInvalid, "bad_name", ""));
}

// What earlier and later programs wrote is read: fields are absent, or unknown.
TEST_F(QuotaTest, RecordsGrow) {
  ASSERT_THAT(PutKey(*engine_, "g/quota/acme", R"({"_v":1,"max_bytes":3,"max_moons":1})"), Ok());
  Start({});
  EXPECT_EQ(quotas_->Get("acme"), (Quota{3, {}, {}, {}, {}}));
}

TEST_F(QuotaTest, ADamagedRecordIsNamed) {
  ASSERT_THAT(PutKey(*engine_, "g/quota/acme", R"({"_v":1,"max_bytes":"3"})"), Ok());
  EXPECT_THAT(Quotas::Open(*engine_, catalog_, *uploads_, {}),
              FailsWith(Errc::kCorrupt, "bad_record", "g/quota/acme"));
}

TEST_F(QuotaTest, UsageIsLogicalBytes) {
  ExpectUsage(0, 0, 0);
  const std::string upload = Stage(300);
  ExpectUsage(300, 0, 0);
  Queue("chat", 1000);
  Queue("code", 2000);
  ExpectUsage(3300, 2, 2);
  Finish(VersionState::kReady, true, 10);
  ExpectUsage(3310, 2, 1);
  Finish(VersionState::kReady, false, 20);
  ExpectUsage(1330, 2, 0);
  Queue("chat", 4000);
  Finish(VersionState::kFailed, false, 0);
  ExpectUsage(1330, 3, 0);
  ASSERT_THAT(uploads_->Remove(upload), Ok());
  ASSERT_THAT(catalog_.DeleteVersion("acme", "chat", 2), Ok());
  ExpectUsage(1030, 2, 0);
}

TEST_F(QuotaTest, AnUploadInUseIsItsVersions) {
  const std::string upload = Stage(0);
  ASSERT_THAT(uploads_->Pin(upload), Ok());
  EXPECT_EQ(*uploads_->StagedBytes("acme"), 0);
  Stage(500);
  EXPECT_EQ(*uploads_->StagedBytes("acme"), 500);
  EXPECT_EQ(*uploads_->StagedBytes("globex"), 0);
  clock_.Advance(std::chrono::hours(25));
  EXPECT_EQ(*uploads_->StagedBytes("acme"), 500) << "expired, but still on the disk";
  ASSERT_THAT(uploads_->Sweep(), Ok());
  EXPECT_EQ(*uploads_->StagedBytes("acme"), 0);
}

TEST_F(QuotaTest, AdmitsUpToTheLimitAndNotBeyond) {
  ASSERT_THAT(quotas_->Put("acme", {1000, 2, 1, {}, {}}), Ok());
  EXPECT_THAT(quotas_->Admit("acme", {1000, 2, 1}), Ok());
  EXPECT_THAT(quotas_->Admit("acme", {1001, 0, 0}),
              FailsWith(Errc::kExhausted, "quota_exceeded", "0 of 1000 bytes"));
  EXPECT_THAT(quotas_->Admit("acme", {~0ull, 0, 0}),
              FailsWith(Errc::kExhausted, "quota_exceeded", "bytes"));
  EXPECT_THAT(quotas_->Admit("acme", {0, 3, 0}),
              FailsWith(Errc::kExhausted, "quota_exceeded", "versions"));
  EXPECT_THAT(quotas_->Admit("acme", {0, 0, 2}),
              FailsWith(Errc::kUnavailable, "too_many_jobs", "jobs"));
  EXPECT_THAT(quotas_->Admit("globex", {~0ull, 9, 9}), Ok());
  Queue("chat", 900);
  ASSERT_THAT(quotas_->Put("acme", {10, {}, {}, {}, {}}), Ok());
  EXPECT_THAT(quotas_->Admit("acme", {0, 1, 1}), Ok())
      << "what is over stays, and harms nobody else";
  EXPECT_THAT(quotas_->Admit("acme", {1, 0, 0}),
              FailsWith(Errc::kExhausted, "quota_exceeded", "900 of 10 bytes"));
}

TEST_F(QuotaTest, ParallelVersionsCannotPassItTogether) {
  ASSERT_THAT(quotas_->Put("acme", {{}, 20, {}, {}, {}}), Ok());
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, model = "m" + std::to_string(i)] {
      for (int round = 0; round < 10; ++round) {
        const auto hold = quotas_->Admit("acme", {1, 1, 1});
        if (hold.has_value()) Queue(model, 1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  ExpectUsage(20, 20, 20);
}

// A job that ends, a deletion, an upload that is let go: all at once, and nothing is off.
TEST_F(QuotaTest, CountersKeepUpWithChangesAtTheSameTime) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, model = "m" + std::to_string(i)] {
      for (uint64_t round = 1; round <= 15; ++round) {
        Queue(model, round);
        auto job = *catalog_.ClaimJob();
        if (job) {
          auto version = *catalog_.GetVersion(job->tenant, job->model, job->version);
          version.state = round % 2 == 0 ? VersionState::kReady : VersionState::kFailed;
          version.exact_kept = round % 2 == 0;
          version.delta_bytes = 7;
          job->state = JobState::kDone;
          EXPECT_THAT(catalog_.FinishVersion(version, *job), Ok());
        }
        const std::string upload = Stage(round);
        EXPECT_EQ(uploads_->Remove(upload).has_value(), true);
        if (round % 3 == 0) (void)catalog_.DeleteVersion("acme", model, round - 1);
      }
    });
  }
  threads.emplace_back([&] {
    for (int i = 0; i < 50; ++i) EXPECT_THAT(*quotas_->Recount(), ::testing::IsEmpty());
  });
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(*quotas_->Recount(), ::testing::IsEmpty());
  EXPECT_GT(quotas_->UsageOf("acme")->versions, 30u);
}

TEST_F(QuotaTest, AddingAVersionReadsAsMuchAmongThousandsAsAlone) {
  CountingEngine counting(*engine_);
  Catalog catalog(counting, clock_);
  auto uploads = *Uploads::Open(counting, clock_, engine_.directory() / "uploads", {});
  auto quotas =
      *Quotas::Open(counting, catalog, *uploads, {1ull << 60, 1ull << 40, 1ull << 40, {}, {}});
  const auto publish = [&] {
    const size_t before = counting.keys_read();
    EXPECT_THAT(quotas->Admit("acme", {10, 0, 0}), Ok());
    EXPECT_THAT(uploads->Create("token:1", "acme", {{"a", 10, {}, {}, {}}}), Ok());
    EXPECT_THAT(quotas->Admit("acme", {10, 1, 1}), Ok());
    VersionRecord version;
    version.tenant = "acme";
    version.model = "chat";
    version.upload_bytes = 10;
    EXPECT_THAT(catalog.CreateVersion(version), Ok());
    return counting.keys_read() - before;
  };
  publish();  // the tenant's first makes the tenant
  const size_t alone = publish();
  for (int i = 0; i < 3000; ++i) publish();
  EXPECT_EQ(publish(), alone);
  EXPECT_LT(alone, 20u);
  EXPECT_EQ(quotas->UsageOf("acme")->versions, 3003u);
}

TEST_F(QuotaTest, AnOlderStoreIsCountedAtItsFirstStart) {
  Queue("chat", 1000);
  Stage(300);
  for (const auto* key : {"t/acme/usage", "g/upload/~acme", "g/schema/counts"}) {
    Batch batch;
    batch.Delete(key);
    ASSERT_THAT(engine_->Commit(batch), Ok());
  }
  ExpectUsage(0, 0, 0);
  Start({});
  ExpectUsage(1300, 1, 1);
}

TEST_F(QuotaTest, RecountingSetsRightWhatIsOff) {
  Queue("chat", 1000);
  Stage(300);
  ASSERT_THAT(PutKey(*engine_, "t/acme/usage", R"({"_v":1,"bytes":7,"versions":0,"jobs":9})"),
              Ok());
  ASSERT_THAT(PutKey(*engine_, "g/upload/~acme", R"({"_v":1,"bytes":1})"), Ok());
  const auto off = quotas_->Recount();
  ASSERT_THAT(off, Ok());
  EXPECT_THAT(*off, ::testing::ElementsAre(
                        "t/acme/usage: was counted as 7 bytes, 0 versions, 9 jobs, is 1000 "
                        "bytes, 1 versions, 1 jobs",
                        ::testing::HasSubstr("g/upload/~acme: was counted as 1 bytes")));
  ExpectUsage(1300, 1, 1);
  EXPECT_THAT(*quotas_->Recount(), ::testing::IsEmpty());
}

}  // namespace
}  // namespace signum
