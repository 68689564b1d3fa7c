// The audit of savings and the sweep, over a store with a base and its fine-tunes.

#include "storage/savings.h"

#include <sys/stat.h>

#include <cstdlib>

#include "storage/catalog_records.h"
#include "storage/sweep.h"
#include "tests/storage/store/store_support.h"

namespace signum {
namespace {

namespace fs = std::filesystem;

const fs::path kModels = fs::path(SIGNUM_TEST_DATA) / "tiny-llama";

// What du counts below a directory.
uint64_t DiskUsage(const fs::path& directory) {
  uint64_t bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    struct stat status {};
    if (::lstat(entry.path().c_str(), &status) == 0) {
      bytes += static_cast<uint64_t>(status.st_blocks) * 512;
    }
  }
  return bytes;
}

class SavingsTest : public ::testing::Test {
 protected:
  void CreateBase(const std::string& name, const fs::path& directory) {
    const auto checkpoint = *Checkpoint::OpenDirectory(directory);
    const auto ingested = IngestBase(objects_, *checkpoint, {});
    ASSERT_THAT(ingested, Ok());
    BaseRecord base;
    base.name = name;
    base.digest = ingested->manifest_digest;
    base.recipe = ingested->recipe_digest;
    base.upload_bytes = ingested->hashed.recipe.TotalBytes();
    ASSERT_THAT(catalog_.CreateBase(base), Ok());
  }

  // A ready version whose "delta" is `delta_bytes` of noise.
  VersionRecord CreateVersion(const std::string& tenant, const std::string& model,
                              size_t delta_bytes) {
    const auto checkpoint = *Checkpoint::OpenDirectory(kModels / model);
    const auto base = catalog_.GetBase("tiny");
    EXPECT_THAT(base, Ok());
    const auto tiny = *StoredCheckpoint::Open(objects_, base->recipe);
    const auto ingested = IngestFineTune(objects_, *checkpoint, *tiny, {});
    EXPECT_THAT(ingested, Ok());
    VersionRecord version;
    version.tenant = tenant;
    version.model = model;
    version.base = "tiny";
    version.upload_bytes = ingested->hashed.recipe.TotalBytes();
    version = *catalog_.CreateVersion(version);
    auto job = **catalog_.ClaimJob();
    version.recipe = ingested->recipe_digest;
    version.exact_kept = true;
    version.delta = objects_.Put(AsBytes(RandomBytes(delta_bytes, ++seed_)))->digest;
    version.manifest = objects_.Put(AsBytes("manifest of " + tenant + model))->digest;
    version.state = VersionState::kReady;
    job.state = JobState::kDone;
    EXPECT_THAT(catalog_.FinishVersion(version, job), Ok());
    return version;
  }

  Result<void> CommitDelete(const std::string& key) {
    Batch batch;
    batch.Delete(key);
    return engine_->Commit(batch);
  }

  SavingsReport Audit(SavingsBy by) {
    auto report = AuditSavings(*engine_, objects_, catalog_, by);
    EXPECT_THAT(report, Ok());
    return report.has_value() ? *std::move(report) : SavingsReport();
  }

  static void ExpectSumsUp(const SavingsReport& report) {
    uint64_t stored = 0, uploaded = 0, versions = 0;
    for (const SavingsRow& row : report.groups) {
      stored += row.stored_bytes();
      uploaded += row.upload_bytes;
      versions += row.versions;
    }
    EXPECT_EQ(report.totals.stored_bytes(), stored);
    EXPECT_EQ(report.totals.upload_bytes, uploaded);
    EXPECT_EQ(report.totals.versions, versions);
  }

  uint64_t seed_ = 0;
  ManualClock clock_;
  EngineHolder engine_{kRocks};
  ObjectStore objects_{*engine_};
  Catalog catalog_{*engine_, clock_};
};

TEST_F(SavingsTest, AnEmptyStoreHasOnlyItsOwnBytes) {
  const SavingsReport report = Audit({.tenant = true});
  EXPECT_TRUE(report.groups.empty());
  EXPECT_GT(report.totals.metadata_bytes, 0);
  EXPECT_EQ(report.totals.ratio(), 0);
}

TEST_F(SavingsTest, TotalsAreWhatTheDiskHolds) {
  CreateBase("tiny", kModels / "base");
  for (const char* model : {"kjv", "pysrc", "sqlite"}) CreateVersion("acme", model, 700'000);
  for (const SavingsBy by : {SavingsBy{}, SavingsBy{.base = true}, SavingsBy{.tenant = true},
                             SavingsBy{.base = true, .tenant = true, .model = true}}) {
    const SavingsReport report = Audit(by);
    ExpectSumsUp(report);
    const double disk = static_cast<double>(DiskUsage(engine_.directory() / "store"));
    EXPECT_NEAR(static_cast<double>(report.totals.stored_bytes()), disk, disk * 0.01);
  }
  const SavingsRow totals = Audit({}).totals;
  EXPECT_EQ(totals.versions, 3);
  EXPECT_EQ(totals.delta_bytes, 2'100'000);
  EXPECT_NEAR(totals.delta_ratio(), 3 * 6.9e6 / 2.1e6, 1.0);
}

TEST_F(SavingsTest, GroupsByAnySubset) {
  CreateBase("tiny", kModels / "base");
  CreateVersion("acme", "kjv", 500'000);
  CreateVersion("acme", "pysrc", 600'000);
  CreateVersion("umbrella", "sqlite", 700'000);
  const SavingsReport by_tenant = Audit({.tenant = true});
  ASSERT_EQ(by_tenant.groups.size(), 2);
  EXPECT_EQ(by_tenant.groups[0].tenant, "acme");
  EXPECT_EQ(by_tenant.groups[0].model, "");
  EXPECT_EQ(by_tenant.groups[0].versions, 2);
  EXPECT_EQ(by_tenant.groups[0].delta_bytes, 1'100'000);
  // A base's bytes are shared evenly by its three versions.
  EXPECT_NEAR(static_cast<double>(by_tenant.groups[0].base_share),
              2.0 * static_cast<double>(by_tenant.groups[1].base_share), 10);
  EXPECT_GT(by_tenant.groups[1].base_share, 2'000'000);
  EXPECT_EQ(Audit({.model = true}).groups.size(), 3);
  EXPECT_EQ(Audit({.base = true}).groups.size(), 1);
  EXPECT_EQ(Audit({}).groups.size(), 1);
}

TEST_F(SavingsTest, ABaseWithoutVersionsIsAGroupOfItsOwn) {
  CreateBase("tiny", kModels / "base");
  CreateBase("unused", kModels / "sqlite");
  CreateVersion("acme", "kjv", 500'000);
  const SavingsReport report = Audit({.tenant = true});
  ExpectSumsUp(report);
  ASSERT_EQ(report.groups.size(), 2);
  EXPECT_EQ(report.groups[0].tenant, "acme");
  EXPECT_EQ(report.groups[1].base, "unused");
  EXPECT_EQ(report.groups[1].versions, 0);
  EXPECT_GT(report.groups[1].base_share, 6'000'000);
}

TEST_F(SavingsTest, TheSweepFreesWhatNothingNames) {
  CreateBase("tiny", kModels / "base");
  const VersionRecord kept = CreateVersion("acme", "kjv", 500'000);
  CreateVersion("acme", "pysrc", 600'000);
  const VersionRecord gone = CreateVersion("acme", "sqlite", 700'000);
  ASSERT_THAT(catalog_.DeleteAlias("acme", "sqlite", "live", std::nullopt), Ok());
  ASSERT_THAT(catalog_.DeleteVersion("acme", "sqlite", 1), Ok());
  WriteBlob(*engine_, RandomBytes(300'000, 9));  // a crash between seal and record
  const uint64_t before = engine_->Usage()->blob_bytes;
  // Objects that are younger than asked for stay; a blob that no object names never has a reader.
  EXPECT_EQ(SweepStore(*engine_, objects_, catalog_, 0)->objects, 0);
  const auto swept = SweepStore(*engine_, objects_, catalog_, INT64_MAX);
  ASSERT_THAT(swept, Ok());
  EXPECT_GT(swept->objects, 10);
  EXPECT_GT(swept->bytes, 3'900'000);                           // half of the upload, and the delta
  EXPECT_LT(engine_->Usage()->blob_bytes, before - 3'500'000);  // the rest lay in keys
  EXPECT_FALSE(*objects_.Has(*gone.delta));
  EXPECT_FALSE(*objects_.Has(*gone.recipe));
  // What stays is whole.
  const auto stored = StoredCheckpoint::Open(objects_, *kept.recipe);
  ASSERT_THAT(stored, Ok());
  for (const RecipeFile& file : (*stored)->recipe().files) {
    const auto source = (*stored)->OpenFile(file.path);
    ASSERT_THAT(source, Ok());
    EXPECT_EQ(Sha256::Of(AsBytes(Contents(**source))), file.digest);
  }
  EXPECT_TRUE(*objects_.Has(*kept.delta));
  EXPECT_TRUE(*objects_.Has(*kept.manifest));
  EXPECT_TRUE(*objects_.Has(catalog_.GetBase("tiny")->digest));
  const auto again = SweepStore(*engine_, objects_, catalog_, INT64_MAX);
  EXPECT_EQ(again->objects + again->blobs, 0);
}

TEST_F(SavingsTest, TheBaseOfWhatIsKeptIsKept) {
  CreateBase("tiny", kModels / "base");
  const VersionRecord version = CreateVersion("acme", "kjv", 500'000);
  ASSERT_THAT(CommitDelete("g/base/tiny"), Ok());  // as if bases could be deleted
  const uint64_t before = Audit({.model = true}).groups.front().exact_bytes;
  EXPECT_GT(before, 6'000'000);  // the base's tensors count where they are needed
  ASSERT_THAT(SweepStore(*engine_, objects_, catalog_, INT64_MAX), Ok());
  EXPECT_EQ(Audit({.model = true}).groups.front().exact_bytes, before);
  const auto stored = *StoredCheckpoint::Open(objects_, *version.recipe);
  const auto weights = stored->OpenFile("model.safetensors");
  ASSERT_THAT(weights, Ok());
  EXPECT_EQ(Sha256::Of(AsBytes(Contents(**weights))),
            stored->recipe().Find("model.safetensors")->digest);
}

TEST_F(SavingsTest, AnUploadThatIsNoLongerKeptIsSwept) {
  CreateBase("tiny", kModels / "base");
  VersionRecord version = CreateVersion("acme", "kjv", 500'000);
  const uint64_t kept = engine_->Usage()->blob_bytes;
  version.exact_kept = false;
  ASSERT_THAT(PutKey(*engine_, VersionKey("acme", "kjv", 1), Encode(version)), Ok());
  ASSERT_THAT(SweepStore(*engine_, objects_, catalog_, INT64_MAX), Ok());
  EXPECT_LT(engine_->Usage()->blob_bytes, kept - 2'000'000);
  EXPECT_TRUE(*objects_.Has(*version.recipe));
  EXPECT_TRUE(*objects_.Has(*version.delta));
}

TEST_F(SavingsTest, TheSweepRemovesBlobsOfNobody) {
  WriteBlob(*engine_, RandomBytes(300'000, 9));
  EXPECT_EQ(SweepStore(*engine_, objects_, catalog_, 0)->blobs, 1);
  EXPECT_TRUE(engine_->ListBlobs()->empty());
}

TEST_F(SavingsTest, TheSweepStopsWhereARecipeIsLost) {
  CreateBase("tiny", kModels / "base");
  const size_t blobs = engine_->ListBlobs()->size();
  ASSERT_THAT(objects_.Delete(catalog_.GetBase("tiny")->recipe), Ok());
  EXPECT_THAT(SweepStore(*engine_, objects_, catalog_, INT64_MAX),
              FailsWith(Errc::kNotFound, "unknown_object", ""));
  EXPECT_EQ(engine_->ListBlobs()->size(), blobs);
}

}  // namespace
}  // namespace signum
