#include "storage/catalog.h"

#include <atomic>
#include <mutex>
#include <set>
#include <thread>

#include "tests/storage/store/store_support.h"

namespace signum {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class CatalogTest : public ::testing::TestWithParam<EngineKind> {
 protected:
  CatalogTest() { Start(); }

  void Start() { catalog_ = std::make_unique<Catalog>(*engine_, clock_, options_); }
  // As a new process finds it.
  void Restart() {
    catalog_.reset();
    engine_.Reopen();
    Start();
  }

  VersionRecord Create(std::string tenant = "acme", std::string model = "chat") {
    VersionRecord version;
    version.tenant = std::move(tenant);
    version.model = std::move(model);
    version.base = "tiny";
    auto created = catalog_->CreateVersion(version);
    EXPECT_THAT(created, Ok());
    return created.has_value() ? *std::move(created) : VersionRecord();
  }

  // Claims the oldest job and ends its version.
  Result<void> Finish(VersionState state = VersionState::kReady) {
    auto job = catalog_->ClaimJob();
    EXPECT_THAT(job, Ok());
    if (!job->has_value()) return Fail(Errc::kNotFound, "no_job", "no job is queued");
    auto version = catalog_->GetVersion((*job)->tenant, (*job)->model, (*job)->version);
    EXPECT_THAT(version, Ok());
    version->state = state;
    (*job)->state = state == VersionState::kReady ? JobState::kDone : JobState::kFailed;
    return catalog_->FinishVersion(*version, **job);
  }

  uint64_t CreateReady(std::string tenant = "acme", std::string model = "chat") {
    const uint64_t number = Create(std::move(tenant), std::move(model)).version;
    EXPECT_THAT(Finish(), Ok());
    return number;
  }

  uint64_t AliasVersion(std::string_view alias) {
    const auto record = catalog_->GetAlias("acme", "chat", alias);
    return record.has_value() ? record->version : 0;
  }

  std::vector<std::string> FeedOf(const std::vector<std::string>& tenants, uint64_t since) {
    const auto entries = catalog_->ReadFeed(tenants, since, 1000);
    EXPECT_THAT(entries, Ok());
    std::vector<std::string> out;
    for (const FeedEntry& e : *entries) {
      out.push_back(e.kind + " " + e.tenant + "/" + e.model + "@" + std::to_string(e.version));
    }
    return out;
  }

  ManualClock clock_;
  CatalogOptions options_;
  EngineHolder engine_{GetParam()};
  std::unique_ptr<Catalog> catalog_;
};

TEST_P(CatalogTest, KeepsBases) {
  BaseRecord base;
  base.name = "tiny";
  base.digest = Sha256::Of(AsBytes("manifest"));
  base.recipe = Sha256::Of(AsBytes("recipe"));
  base.upload_bytes = 1ull << 62;  // numbers keep all their bits
  base.architecture = "LlamaForCausalLM";
  ASSERT_THAT(catalog_->CreateBase(base), Ok());
  EXPECT_THAT(catalog_->CreateBase(base), FailsWith(Errc::kConflict, "base_exists", "tiny"));
  base.name = "Not a name";
  EXPECT_THAT(catalog_->CreateBase(base), FailsWith(Errc::kInvalid, "bad_name", "base"));
  base.name = "other";
  ASSERT_THAT(catalog_->CreateBase(base), Ok());
  if (GetParam().durable) Restart();
  const auto stored = catalog_->GetBase("tiny");
  ASSERT_THAT(stored, Ok());
  EXPECT_EQ(stored->digest, base.digest);
  EXPECT_EQ(stored->recipe, base.recipe);
  EXPECT_EQ(stored->upload_bytes, 1ull << 62);
  EXPECT_EQ(stored->architecture, "LlamaForCausalLM");
  EXPECT_THAT(catalog_->GetBase("none"), FailsWith(Errc::kNotFound, "unknown_base", "none"));
  EXPECT_EQ(catalog_->ListBases("", 10)->size(), 2);
  EXPECT_EQ(catalog_->ListBases("other", 10)->front().name, "tiny");
  EXPECT_EQ(catalog_->ListBases("", 1)->front().name, "other");
}

TEST_P(CatalogTest, CountsVersionsAndNeverReusesANumber) {
  EXPECT_EQ(Create().version, 1);
  EXPECT_EQ(Create().version, 2);
  EXPECT_EQ(Create("acme", "other").version, 1);
  EXPECT_EQ(Create("umbrella").version, 1);
  ASSERT_THAT(Finish(), Ok());
  ASSERT_THAT(Finish(), Ok());
  ASSERT_THAT(catalog_->DeleteVersion("acme", "chat", 2), Ok());
  if (GetParam().durable) Restart();
  EXPECT_EQ(Create().version, 3);
  EXPECT_THAT(catalog_->GetVersion("acme", "chat", 2),
              FailsWith(Errc::kNotFound, "unknown_version", "acme/chat"));
}

TEST_P(CatalogTest, ConcurrentCreatesGetDistinctNumbers) {
  std::mutex mutex;
  std::set<uint64_t> numbers;
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5; ++i) {
        const uint64_t number = Create().version;
        std::lock_guard lock(mutex);
        numbers.insert(number);
      }
    });
  }
  threads.clear();
  EXPECT_EQ(numbers.size(), 20);
  EXPECT_EQ(*numbers.rbegin(), 20);
  EXPECT_EQ(catalog_->ListJobs("", 100)->size(), 20);
}

TEST_P(CatalogTest, ListsTenantsModelsAndVersionsInPages) {
  for (const char* model : {"b", "a", "c-1"}) Create("acme", model);
  Create("zeta", "a");
  Create("acme", "a");
  EXPECT_THAT(*catalog_->ListTenants("", 10), ElementsAre("acme", "zeta"));
  EXPECT_THAT(*catalog_->ListTenants("acme", 10), ElementsAre("zeta"));
  EXPECT_THAT(*catalog_->ListModels("acme", "", 2), ElementsAre("a", "b"));
  EXPECT_THAT(*catalog_->ListModels("acme", "b", 10), ElementsAre("c-1"));
  EXPECT_THAT(*catalog_->ListModels("nobody", "", 10), IsEmpty());
  const auto versions = *catalog_->ListVersions("acme", "a", 1, 10);
  ASSERT_EQ(versions.size(), 1);
  EXPECT_EQ(versions[0].version, 2);
  EXPECT_THAT(catalog_->ListVersions("acme", "none", 0, 10),
              FailsWith(Errc::kNotFound, "unknown_model", "acme/none"));
}

TEST_P(CatalogTest, ResolvesNumbersAndAliases) {
  CreateReady();
  CreateReady();
  EXPECT_EQ(catalog_->ResolveVersion("acme", "chat", "2")->version, 2);
  EXPECT_EQ(catalog_->ResolveVersion("acme", "chat", "latest")->version, 2);
  EXPECT_EQ(catalog_->ResolveVersion("acme", "chat", "live")->version, 1);
  EXPECT_THAT(catalog_->ResolveVersion("acme", "none", "live"),
              FailsWith(Errc::kNotFound, "unknown_model", ""));
  EXPECT_THAT(catalog_->ResolveVersion("acme", "chat", "9"),
              FailsWith(Errc::kNotFound, "unknown_version", "9"));
  EXPECT_THAT(catalog_->ResolveVersion("acme", "chat", "99999999999999999999999"),
              FailsWith(Errc::kNotFound, "unknown_alias", ""));
  EXPECT_THAT(catalog_->ResolveVersion("acme", "chat", "stable"),
              FailsWith(Errc::kNotFound, "unknown_alias", "stable"));
}

TEST_P(CatalogTest, RefusesBadNames) {
  VersionRecord version;
  version.tenant = "acme/../x";
  version.model = "chat";
  EXPECT_THAT(catalog_->CreateVersion(version), FailsWith(Errc::kInvalid, "bad_name", "tenant"));
  version.tenant = "acme";
  version.model = "Chat";
  EXPECT_THAT(catalog_->CreateVersion(version), FailsWith(Errc::kInvalid, "bad_name", "model"));
}

TEST_P(CatalogTest, ReadyMovesLatestAndTheFirstLive) {
  Create();
  EXPECT_EQ(AliasVersion("latest"), 0);
  ASSERT_THAT(Finish(), Ok());
  EXPECT_EQ(AliasVersion("latest"), 1);
  EXPECT_EQ(AliasVersion("live"), 1);
  CreateReady();
  EXPECT_EQ(AliasVersion("latest"), 2);
  EXPECT_EQ(AliasVersion("live"), 1);
  EXPECT_THAT(FeedOf({"acme"}, 0), ElementsAre("live acme/chat@1"));
  EXPECT_EQ(catalog_->GetVersion("acme", "chat", 2)->finished, clock_.Now());
}

TEST_P(CatalogTest, LatestStaysWithTheHighestNumber) {
  Create();
  Create();
  auto one = **catalog_->ClaimJob();
  auto two = **catalog_->ClaimJob();
  VersionRecord ready = *catalog_->GetVersion("acme", "chat", 2);
  ready.state = VersionState::kReady;
  two.state = JobState::kDone;
  ASSERT_THAT(catalog_->FinishVersion(ready, two), Ok());
  ready = *catalog_->GetVersion("acme", "chat", 1);
  ready.state = VersionState::kReady;
  one.state = JobState::kDone;
  ASSERT_THAT(catalog_->FinishVersion(ready, one), Ok());
  EXPECT_EQ(AliasVersion("latest"), 2);
}

TEST_P(CatalogTest, AFailedVersionMovesNothing) {
  Create();
  ASSERT_THAT(Finish(VersionState::kFailed), Ok());
  EXPECT_EQ(AliasVersion("latest"), 0);
  EXPECT_EQ(AliasVersion("live"), 0);
  EXPECT_THAT(FeedOf({"acme"}, 0), IsEmpty());
  EXPECT_FALSE(catalog_->ClaimJob()->has_value());
}

TEST_P(CatalogTest, AFinishedVersionIsNotChangedAgain) {
  Create();
  const JobRecord job = **catalog_->ClaimJob();
  VersionRecord version = *catalog_->GetVersion("acme", "chat", 1);
  version.delta_bytes = 7;
  ASSERT_THAT(catalog_->UpdateVersion(version, &job), Ok());
  EXPECT_EQ(catalog_->GetVersion("acme", "chat", 1)->delta_bytes, 7);
  version.state = VersionState::kReady;
  ASSERT_THAT(catalog_->FinishVersion(version, job), Ok());
  EXPECT_THAT(catalog_->FinishVersion(version, job),
              FailsWith(Errc::kConflict, "version_finished", "ready"));
  EXPECT_THAT(catalog_->UpdateVersion(version, nullptr),
              FailsWith(Errc::kConflict, "version_finished", "ready"));
  version.version = 9;
  EXPECT_THAT(catalog_->UpdateVersion(version, nullptr),
              FailsWith(Errc::kConflict, "version_deleted", "9"));
}

TEST_P(CatalogTest, DeletesOnlyWhatNothingUses) {
  CreateReady();
  CreateReady();
  CreateReady();
  Create();
  EXPECT_THAT(catalog_->DeleteVersion("acme", "chat", 1),
              FailsWith(Errc::kConflict, "version_in_use", "live"));
  EXPECT_THAT(catalog_->DeleteVersion("acme", "chat", 4),
              FailsWith(Errc::kConflict, "version_busy", "queued"));
  EXPECT_THAT(catalog_->DeleteVersion("acme", "chat", 5),
              FailsWith(Errc::kNotFound, "unknown_version", "5"));
  EXPECT_THAT(catalog_->DeleteVersion("acme", "none", 1),
              FailsWith(Errc::kNotFound, "unknown_model", ""));
  ASSERT_THAT(catalog_->DeleteVersion("acme", "chat", 3), Ok());
  EXPECT_EQ(AliasVersion("latest"), 2);
  ASSERT_THAT(catalog_->DeleteVersion("acme", "chat", 2), Ok());
  EXPECT_EQ(AliasVersion("latest"), 1);
  ASSERT_THAT(catalog_->DeleteAlias("acme", "chat", "live", std::nullopt), Ok());
  ASSERT_THAT(catalog_->DeleteVersion("acme", "chat", 1), Ok());
  EXPECT_EQ(AliasVersion("latest"), 0);
}

TEST_P(CatalogTest, AliasesCompareAndSet) {
  CreateReady();
  CreateReady();
  const auto set = [&](uint64_t version, std::optional<uint64_t> expected) {
    return catalog_->SetAlias("acme", "chat", "stable", version, expected);
  };
  EXPECT_THAT(set(1, 5), FailsWith(Errc::kPrecondition, "alias_changed", "stable"));
  ASSERT_THAT(set(1, 0), Ok());
  EXPECT_THAT(set(2, 0), FailsWith(Errc::kPrecondition, "alias_changed", "revision 1"));
  const auto moved = set(2, 1);
  ASSERT_THAT(moved, Ok());
  EXPECT_EQ(moved->version, 2);
  EXPECT_EQ(moved->previous, 1);
  EXPECT_EQ(moved->revision, 2);
  EXPECT_EQ(set(2, 2)->revision, 2);  // where it is already
  EXPECT_EQ(set(1, std::nullopt)->revision, 3);
  EXPECT_THAT(set(3, std::nullopt), FailsWith(Errc::kNotFound, "unknown_version", "3"));
  Create();
  EXPECT_THAT(set(3, std::nullopt), FailsWith(Errc::kConflict, "version_not_ready", "queued"));
  EXPECT_EQ(AliasVersion("stable"), 1);
}

TEST_P(CatalogTest, ARevisionNeverComesBack) {
  CreateReady();
  ASSERT_THAT(catalog_->SetAlias("acme", "chat", "stable", 1, std::nullopt), Ok());
  EXPECT_THAT(catalog_->DeleteAlias("acme", "chat", "stable", 7),
              FailsWith(Errc::kPrecondition, "alias_changed", ""));
  ASSERT_THAT(catalog_->DeleteAlias("acme", "chat", "stable", 1), Ok());
  EXPECT_THAT(catalog_->DeleteAlias("acme", "chat", "stable", std::nullopt),
              FailsWith(Errc::kNotFound, "unknown_alias", "stable"));
  EXPECT_THAT(catalog_->GetAlias("acme", "chat", "stable"),
              FailsWith(Errc::kNotFound, "unknown_alias", "stable"));
  EXPECT_EQ(catalog_->ListAliases("acme", "chat")->size(), 2);  // live and latest
  EXPECT_EQ(catalog_->SetAlias("acme", "chat", "stable", 1, 0)->revision, 3);
}

TEST_P(CatalogTest, RefusesAliasNamesThatMeanSomethingElse) {
  CreateReady();
  EXPECT_THAT(catalog_->SetAlias("acme", "chat", "latest", 1, std::nullopt),
              FailsWith(Errc::kConflict, "alias_reserved", "latest"));
  EXPECT_THAT(catalog_->DeleteAlias("acme", "chat", "latest", std::nullopt),
              FailsWith(Errc::kConflict, "alias_reserved", "latest"));
  EXPECT_THAT(catalog_->SetAlias("acme", "chat", "12", 1, std::nullopt),
              FailsWith(Errc::kInvalid, "bad_name", "12"));
  EXPECT_THAT(catalog_->SetAlias("acme", "chat", "a/b", 1, std::nullopt),
              FailsWith(Errc::kInvalid, "bad_name", "alias"));
}

TEST_P(CatalogTest, OneOfManyRacingAliasMovesWins) {
  CreateReady();
  CreateReady();
  ASSERT_THAT(catalog_->SetAlias("acme", "chat", "live", 2, 1), Ok());
  std::atomic<int> won = 0;
  std::vector<std::jthread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      if (catalog_->SetAlias("acme", "chat", "live", 1, 2)) ++won;
    });
  }
  threads.clear();
  EXPECT_EQ(won, 1);
  EXPECT_EQ(catalog_->GetAlias("acme", "chat", "live")->revision, 3);
  EXPECT_EQ(FeedOf({"acme"}, 0).size(), 3);
}

// A version must not be deleted while another thread points an alias at it.
TEST_P(CatalogTest, DeletesAndAliasesExcludeEachOther) {
  CreateReady();
  for (uint64_t version = 2; version < 12; ++version) {
    CreateReady();
    Result<void> deleted;
    Result<AliasRecord> moved = Fail(Errc::kInternal, "", "");
    {
      const std::jthread one([&] { deleted = catalog_->DeleteVersion("acme", "chat", version); });
      const std::jthread two(
          [&] { moved = catalog_->SetAlias("acme", "chat", "live", version, std::nullopt); });
    }
    EXPECT_NE(deleted.has_value(), moved.has_value());
    EXPECT_THAT(catalog_->ResolveVersion("acme", "chat", "live"), Ok());
  }
}

TEST_P(CatalogTest, TheFeedTellsOfEachTenantsMoves) {
  CreateReady("acme", "chat");
  CreateReady("umbrella", "code");
  CreateReady("acme", "chat");
  const uint64_t before = *catalog_->FeedSeq();
  ASSERT_THAT(catalog_->SetAlias("acme", "chat", "live", 2, std::nullopt), Ok());
  ASSERT_THAT(catalog_->SetAlias("acme", "chat", "stable", 1, std::nullopt), Ok());
  ASSERT_THAT(catalog_->DeleteAlias("umbrella", "code", "live", std::nullopt), Ok());
  EXPECT_THAT(FeedOf({"acme"}, 0), ElementsAre("live acme/chat@1", "live acme/chat@2"));
  EXPECT_THAT(FeedOf({"umbrella"}, before), ElementsAre("removed umbrella/code@0"));
  EXPECT_THAT(FeedOf({"umbrella", "acme", "acme"}, before),
              ElementsAre("live acme/chat@2", "removed umbrella/code@0"));
  EXPECT_THAT(FeedOf({"nobody"}, 0), IsEmpty());
  EXPECT_EQ(catalog_->ReadFeed({"acme", "umbrella"}, 0, 3)->size(), 3);
  const uint64_t seq = *catalog_->FeedSeq();
  EXPECT_EQ(seq, 4);
  EXPECT_THAT(catalog_->ReadFeed({"acme"}, seq + 1, 10),
              FailsWith(Errc::kNotFound, "feed_gone", "5"));
  if (!GetParam().durable) return;
  Restart();
  EXPECT_EQ(*catalog_->FeedSeq(), seq);
  CreateReady("zeta", "new");
  EXPECT_EQ(*catalog_->FeedSeq(), seq + 1);
}

TEST_P(CatalogTest, TheFeedIsBounded) {
  options_.feed_keep = 3;
  Start();
  CreateReady();
  CreateReady();
  for (uint64_t i = 0; i < 5; ++i) {
    ASSERT_THAT(catalog_->SetAlias("acme", "chat", "live", 2 - i % 2, std::nullopt), Ok());
  }
  EXPECT_EQ(*catalog_->FeedSeq(), 6);
  EXPECT_THAT(catalog_->ReadFeed({"acme"}, 2, 10), FailsWith(Errc::kNotFound, "feed_gone", "2"));
  EXPECT_EQ(FeedOf({"acme"}, 3).size(), 3);
  EXPECT_EQ(engine_->Scan("t/acme/feed/", "t/acme/feed0", 100)->size(), 3);
  CreateReady("quiet", "m");  // a tenant's entries do not push out another's
  EXPECT_EQ(FeedOf({"acme"}, 3).size(), 3);
}

TEST_P(CatalogTest, LiveListsWhatATenantRuns) {
  CreateReady("acme", "chat");
  CreateReady("acme", "chat");
  CreateReady("acme", "code");
  CreateReady("umbrella", "x");
  Create("acme", "new");
  const auto live = *catalog_->Live("acme");
  ASSERT_EQ(live.size(), 2);
  EXPECT_EQ(live[0].model, "chat");
  EXPECT_EQ(live[0].version.version, 1);
  EXPECT_EQ(live[1].model, "code");
  EXPECT_THAT(*catalog_->Live("nobody"), IsEmpty());
}

// Whoever is woken must find the entry that woke him.
TEST_P(CatalogTest, WatchersFindTheEntryTheyAreToldOf) {
  std::vector<std::string> told;
  uint64_t seen = 0;
  const auto watch = catalog_->WatchFeed([&](std::string_view tenant) {
    told.emplace_back(tenant);
    seen = catalog_->ReadFeed({std::string(tenant)}, seen, 10)->back().seq;
  });
  CreateReady("acme");
  CreateReady("acme");  // moves only `latest`
  CreateReady("umbrella");
  ASSERT_THAT(catalog_->SetAlias("acme", "chat", "live", 2, std::nullopt), Ok());
  EXPECT_THAT(told, ElementsAre("acme", "umbrella", "acme"));
  EXPECT_EQ(seen, 3);
}

INSTANTIATE_TEST_SUITE_P(Engines, CatalogTest, ::testing::Values(kMemory, kRocks), EngineName);

}  // namespace
}  // namespace signum
