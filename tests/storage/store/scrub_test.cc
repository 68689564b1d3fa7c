// Scrub, quarantine and repair, over a store with a base and a fine-tune whose files are damaged.

#include "storage/scrub.h"

#include <algorithm>
#include <fstream>
#include <random>

#include "storage/format/manifest.h"
#include "tests/storage/store/model_store.h"

namespace signum {
namespace {

namespace fs = std::filesystem;

class ScrubTest : public ModelStoreTest {
 protected:
  ScrubReport Scrub(ScrubOptions options = {}) {
    const Accounts accounts(*engine_, clock_);
    const ScrubContext context{*engine_, objects_, catalog_, accounts, {key_.public_key()}};
    auto report = ScrubStore(context, options);
    EXPECT_THAT(report, Ok());
    return report.has_value() ? *std::move(report) : ScrubReport();
  }

  // A version whose manifest is signed.
  VersionRecord CreateSigned(const std::string& tenant, const std::string& model) {
    CreateVersion(tenant, model, 300'000);
    VersionRecord version = *catalog_.GetVersion(tenant, model, 1);
    Manifest manifest;
    manifest.tenant = tenant;
    manifest.model = model;
    manifest.version = 1;
    manifest.base = "tiny";
    manifest.delta_digest = *version.delta;
    manifest.created = FormatTime(clock_.Now());
    const auto put = objects_.Put(AsBytes(manifest.Sign(key_)));
    version.manifest = put->digest;
    PutVersion(version);
    return version;
  }

  // The record as it is given, past the catalog.
  void PutVersion(const VersionRecord& version);

  const SigningKey key_ = SigningKey::FromSeed(std::string(32, 'k')).value();
};

void ScrubTest::PutVersion(const VersionRecord& version) {
  const std::string key = "t/" + version.tenant + "/version/" + version.model + "/" +
                          std::string(19, '0') + std::to_string(version.version);
  std::string stored = **engine_->Get(key);
  const std::string field = "\"manifest\":\"";
  stored.replace(stored.find(field) + field.size(), 64, version.manifest->Hex());
  ASSERT_THAT(PutKey(*engine_, key, stored), Ok());
}

TEST_F(ScrubTest, ASoundStoreIsClean) {
  CreateBase("tiny", ModelDirectory("base"));
  CreateSigned("acme", "kjv");
  const ScrubReport report = Scrub();
  EXPECT_TRUE(report.clean()) << (report.problems.empty() ? "" : report.problems[0]);
  EXPECT_GT(report.objects, 50);
  EXPECT_GT(report.object_bytes, 13'000'000);
  EXPECT_GT(report.references, 50);
  EXPECT_EQ(report.manifests, 1);
  EXPECT_GT(report.files, 10);
}

TEST_F(ScrubTest, ADamagedObjectIsQuarantinedAndNamed) {
  CreateBase("tiny", ModelDirectory("base"));
  const VersionRecord version = CreateSigned("acme", "kjv");
  const std::string bytes = Contents(**objects_.Open(*version.delta));
  Damage(*version.delta);
  const ScrubReport report = Scrub();
  ASSERT_EQ(report.damaged.size(), 1);
  EXPECT_EQ(report.damaged[0].digest, *version.delta);
  EXPECT_TRUE(report.damaged[0].quarantined);
  EXPECT_EQ(report.damaged[0].versions, std::vector<std::string>{"acme/kjv@1"});
  EXPECT_EQ(report.damaged_files.size(), 1);
  EXPECT_EQ(objects_.damaged(), 1);
  EXPECT_THAT(objects_.Open(*version.delta),
              FailsWith(Errc::kCorrupt, "object_damaged", version.delta->Text()));
  EXPECT_FALSE(*objects_.Has(*version.delta));
  // Still known after a restart, and told by each scrub, whatever the sample.
  EXPECT_EQ(Scrub({.sample = 1e-9}).damaged.size(), 1);
  // The same bytes again heal it, and the damaged file goes.
  EXPECT_TRUE(objects_.Put(MemorySource(bytes), *version.delta)->created);
  EXPECT_EQ(objects_.damaged(), 0);
  EXPECT_TRUE(Contents(**objects_.Open(*version.delta)) == bytes);
  EXPECT_TRUE(Scrub().clean());
}

// The bytes are still in the block cache, and those on the disk are not.
TEST_F(ScrubTest, DamageBehindTheCacheIsFound) {
  CreateBase("tiny", ModelDirectory("base"));
  const VersionRecord version = CreateSigned("acme", "kjv");
  const auto delta = *objects_.Open(*version.delta);
  for (uint64_t at = 0; at < delta->size();) at += delta->Hold(at, 1 << 20)->bytes.size();
  Damage(*version.delta);
  EXPECT_THAT(objects_.Verify(*version.delta), Ok());
  const ScrubReport report = Scrub();
  ASSERT_EQ(report.damaged.size(), 1);
  EXPECT_EQ(report.damaged[0].digest, *version.delta);
  EXPECT_EQ(report.damaged[0].versions, std::vector<std::string>{"acme/kjv@1"});
  EXPECT_FALSE(objects_.Open(*version.delta));
}

TEST_F(ScrubTest, AReadFindsDamageToo) {
  CreateBase("tiny", ModelDirectory("base"));
  const VersionRecord version = CreateSigned("acme", "kjv");
  const std::string bytes = Contents(**objects_.Open(*version.delta));
  Damage(*version.delta);
  engine_.Reopen();
  const ObjectStore objects(*engine_);
  const auto opened = objects.Open(*version.delta);
  ASSERT_THAT(opened, Ok());
  std::string out(300'000, '\0');
  const auto read = (*opened)->Read(0, {reinterpret_cast<std::byte*>(out.data()), out.size()});
  EXPECT_THAT(read, FailsWith(Errc::kCorrupt, "object_damaged", version.delta->Text()));
  EXPECT_EQ(objects.damaged(), 1);
  // What was open goes on where the object was stored anew.
  ObjectStore healing(*engine_);
  ASSERT_THAT(healing.Put(MemorySource(bytes), *version.delta), Ok());
  EXPECT_TRUE(Contents(**opened) == bytes);
}

TEST_F(ScrubTest, AHoldFindsDamageToo) {
  CreateBase("tiny", ModelDirectory("base"));
  const VersionRecord version = CreateSigned("acme", "kjv");
  const auto opened = objects_.Open(*version.delta);
  ASSERT_THAT(opened, Ok());
  Damage(*version.delta);
  EXPECT_THAT((*opened)->Hold(150'000, 1000),
              FailsWith(Errc::kCorrupt, "object_damaged", version.delta->Text()));
  EXPECT_EQ(objects_.damaged(), 1);
}

TEST_F(ScrubTest, DamageToABaseTouchesItsVersions) {
  CreateBase("tiny", ModelDirectory("base"));
  CreateSigned("acme", "kjv");
  CreateSigned("acme", "pysrc");
  const Digest recipe = catalog_.GetBase("tiny")->recipe;
  const auto stored = *StoredCheckpoint::Open(objects_, recipe);
  ASSERT_THAT(objects_.Delete(*stored->KnownDigest(0)), Ok());
  const ScrubReport report = Scrub();
  ASSERT_EQ(report.damaged.size(), 1);
  EXPECT_EQ(report.damaged[0].why, "missing");
  EXPECT_EQ(report.damaged[0].bases, std::vector<std::string>{"tiny"});
  EXPECT_EQ(report.damaged[0].versions, (std::vector<std::string>{"acme/kjv@1", "acme/pysrc@1"}));
}

TEST_F(ScrubTest, ARetiredKeysManifestIsGood) {
  CreateBase("tiny", ModelDirectory("base"));
  CreateSigned("acme", "kjv");
  const Accounts accounts(*engine_, clock_);
  const SigningKey newer = SigningKey::FromSeed(std::string(32, 'n')).value();
  const std::vector<PublicKey> keys{newer.public_key(), key_.public_key()};
  EXPECT_TRUE(ScrubStore({*engine_, objects_, catalog_, accounts, keys}, {})->clean());
}

TEST_F(ScrubTest, AManifestOfAnotherKeyIsFound) {
  CreateBase("tiny", ModelDirectory("base"));
  VersionRecord version = CreateSigned("acme", "kjv");
  Manifest manifest;
  manifest.tenant = "acme";
  manifest.created = FormatTime(clock_.Now());
  const SigningKey other = SigningKey::FromSeed(std::string(32, 'o')).value();
  version.manifest = objects_.Put(AsBytes(manifest.Sign(other)))->digest;
  PutVersion(version);
  const ScrubReport report = Scrub();
  ASSERT_EQ(report.problems.size(), 1);
  EXPECT_NE(report.problems[0].find("manifest of acme/kjv@1"), std::string::npos);
}

TEST_F(ScrubTest, AChangedLogIsFound) {
  Accounts accounts(*engine_, clock_);
  for (int i = 0; i < 3; ++i) ASSERT_THAT(accounts.AppendLog({}), Ok());
  const std::string key = "g/log/entry/00000000000000000002";
  std::string entry = **engine_->Get(key);
  entry.replace(entry.find("\"who\":\"\""), 8, "\"who\":\"x\"");
  ASSERT_THAT(PutKey(*engine_, key, entry), Ok());
  const ScrubReport report = Scrub();
  ASSERT_EQ(report.problems.size(), 1);
  EXPECT_NE(report.problems[0].find("entry 2 was changed"), std::string::npos);
}

TEST_F(ScrubTest, ASampleReadsAPart) {
  CreateBase("tiny", ModelDirectory("base"));
  const uint64_t all = Scrub().objects;
  const uint64_t some = Scrub({.sample = 0.3, .seed = 7}).objects;
  EXPECT_GT(some, 0);
  EXPECT_LT(some, all * 2 / 3);
}

TEST_F(ScrubTest, TheRateIsHeld) {
  objects_.Put(AsBytes(RandomBytes(2'000'000, 1))).value();
  const auto began = std::chrono::steady_clock::now();
  Scrub({.rate = 8'000'000});  // object and file: 4 MB
  EXPECT_GE(std::chrono::steady_clock::now() - began, std::chrono::milliseconds(450));
}

TEST_F(ScrubTest, RepairsFromAnotherStore) {
  CreateBase("tiny", ModelDirectory("base"));
  const VersionRecord version = CreateSigned("acme", "kjv");
  const std::string bytes = Contents(**objects_.Open(*version.delta));
  const auto other_engine = NewMemoryEngine();
  ObjectStore other(*other_engine);
  ASSERT_THAT(other.Put(AsBytes(bytes)), Ok());
  Damage(*version.delta);
  ScrubReport report = Scrub();
  ASSERT_THAT(RepairObjects(objects_, other, report), Ok());
  EXPECT_TRUE(report.damaged[0].repaired);
  EXPECT_TRUE(Scrub().clean());
}

// Any bit of any of the engine's files, one at a time: found.
TEST_F(ScrubTest, EveryBitFlipIsFound) {
  CreateBase("tiny", ModelDirectory("base"));
  CreateSigned("acme", "kjv");
  engine_.Reopen();  // the keys are in files now
  ASSERT_THAT(PutKey(*engine_, "t/acme/more", RandomBytes(5000, 1)), Ok());  // and some in the log
  ObjectStore objects(*engine_);
  const Catalog catalog(*engine_, clock_);
  const Accounts accounts(*engine_, clock_);
  const ScrubContext context{*engine_, objects, catalog, accounts, {key_.public_key()}};
  auto files = *engine_->ListFiles();
  std::erase_if(files, [](const EngineFile& file) { return file.size == 0; });
  ASSERT_GT(files.size(), 20);
  for (const std::string kind : {".sst", ".log", "CURRENT", "MANIFEST-"}) {
    EXPECT_TRUE(std::any_of(files.begin(), files.end(), [&](const EngineFile& file) {
      return !file.blob && file.name.find(kind) != std::string::npos;
    })) << kind;
  }
  std::mt19937_64 random(std::random_device{}());
  const char* const flips_text = std::getenv("SIGNUM_FLIPS");
  const int flips = flips_text != nullptr ? std::atoi(flips_text) : 60;
  for (int i = 0; i < flips; ++i) {
    const EngineFile& file = files[random() % files.size()];
    const uint64_t bit = random() % (8 * file.size);
    const fs::path path = engine_.directory() / "store" / file.name;
    FlipBit(path, bit);
    EXPECT_THAT(engine_->VerifyFile(file, {}), FailsWith(Errc::kCorrupt, "file_damaged", file.name))
        << "bit " << bit;
    if (i == 0) {
      EXPECT_FALSE(ScrubStore(context, {})->clean());
    }
    FlipBit(path, bit);
    EXPECT_THAT(engine_->VerifyFile(file, {}), Ok());
  }
}

}  // namespace
}  // namespace signum
