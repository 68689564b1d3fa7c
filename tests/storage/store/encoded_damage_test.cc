// Damage to encoded objects and to what they are differences from, over a store with a fine-tune.

#include "storage/references.h"
#include "storage/scrub.h"
#include "tests/storage/store/model_store.h"

namespace signum {
namespace {

using Kind = ObjectRecord::Kind;

class EncodedDamageTest : public ModelStoreTest {
 protected:
  void SetUp() override {
    CreateBase("tiny", ModelDirectory("base"));
    CreateVersion("acme", "kjv", 300'000);
    ASSERT_THAT(ForEachObject(*engine_,
                              [&](const ScannedObject& object) -> Result<void> {
                                const ObjectRecord& record = object.record;
                                if (record.kind != Kind::kEncodedBlob || !record.base) return {};
                                if (RecordOf(*record.base).kind != Kind::kBlob) return {};
                                encoded_ = object.digest;
                                base_ = *record.base;
                                return {};
                              }),
                Ok());
    ASSERT_NE(base_, Digest());
    raw_ = Contents(**objects_.Open(encoded_));
    base_raw_ = Contents(**objects_.Open(base_));
  }

  // Manifests apart: these versions have none that is signed.
  std::vector<DamagedObject> Scrub(ScrubOptions options = {}) {
    const Accounts accounts(*engine_, clock_);
    auto report = ScrubStore({*engine_, objects_, catalog_, accounts, {}}, options);
    EXPECT_THAT(report, Ok());
    return report.has_value() ? report->damaged : std::vector<DamagedObject>();
  }

  Digest encoded_, base_;  // in a blob each
  std::string raw_, base_raw_;
};

TEST_F(EncodedDamageTest, ADamagedBaseIsNamedWithAllThatDependsOnIt) {
  ASSERT_THAT(DeleteKey("g/base/tiny"), Ok());  // so that only the exact upload leads there
  Damage(base_);
  const auto damaged = Scrub();
  ASSERT_EQ(damaged.size(), 1);
  EXPECT_EQ(damaged[0].digest, base_);
  EXPECT_EQ(damaged[0].size, base_raw_.size());
  EXPECT_TRUE(damaged[0].quarantined);
  EXPECT_EQ(damaged[0].versions, std::vector<std::string>{"acme/kjv@1"});
  EXPECT_EQ(objects_.damaged(), 1);
  EXPECT_THAT(objects_.Open(encoded_), FailsWith(Errc::kCorrupt, "object_damaged", base_.Text()));
  EXPECT_EQ(Scrub({.sample = 1e-9}).size(), 1);
  // Uploaded again, as a base or as part of a fine-tune, it heals what differs from it.
  const ObjectStore::Encoding encoding{{NumberKind::kFloat, 2}, encoded_};
  ASSERT_THAT(objects_.PutEncoded(MemorySource(base_raw_), base_, encoding), Ok());
  EXPECT_EQ(objects_.damaged(), 0);
  EXPECT_TRUE(Contents(**objects_.Open(encoded_)) == raw_);
  EXPECT_TRUE(Scrub().empty());
}

TEST_F(EncodedDamageTest, AReadFindsDamageToTheBase) {
  Damage(base_);
  engine_.Reopen();  // what was read is in a cache
  ObjectStore objects(*engine_);
  const auto opened = *objects.Open(encoded_);
  std::string out(raw_.size(), '\0');
  const MutableBytes all(reinterpret_cast<std::byte*>(out.data()), out.size());
  EXPECT_THAT(opened->Read(0, all), FailsWith(Errc::kCorrupt, "object_damaged", base_.Text()));
  EXPECT_THAT(opened->Hold(0, out.size()),
              FailsWith(Errc::kCorrupt, "object_damaged", base_.Text()));
  EXPECT_EQ(objects.damaged(), 1);
  EXPECT_TRUE(*objects.Has(encoded_));
  // What was open goes on once it is stored anew.
  ASSERT_THAT(objects.Put(MemorySource(base_raw_), base_), Ok());
  EXPECT_TRUE(Contents(*opened) == raw_);
}

TEST_F(EncodedDamageTest, ADamagedDifferenceIsRepairedByItsRawBytes) {
  Damage(encoded_);
  auto damaged = Scrub();
  ASSERT_EQ(damaged.size(), 1);
  EXPECT_EQ(damaged[0].digest, encoded_);
  EXPECT_EQ(damaged[0].versions, std::vector<std::string>{"acme/kjv@1"});
  EXPECT_THAT(objects_.Open(encoded_),
              FailsWith(Errc::kCorrupt, "object_damaged", encoded_.Text()));
  EXPECT_TRUE(Contents(**objects_.Open(base_)) == base_raw_);
  // From a backup, where it is encoded too.
  const auto other_engine = NewMemoryEngine();
  ObjectStore other(*other_engine);
  ASSERT_THAT(other.Put(MemorySource(base_raw_), base_), Ok());
  const ObjectStore::Encoding encoding{{NumberKind::kFloat, 2}, base_};
  ASSERT_THAT(other.PutEncoded(MemorySource(raw_), encoded_, encoding), Ok());
  ScrubReport report;
  report.damaged = damaged;
  ASSERT_THAT(RepairObjects(objects_, other, report), Ok());
  EXPECT_TRUE(report.damaged[0].repaired);
  EXPECT_TRUE(Contents(**objects_.Open(encoded_)) == raw_);
  EXPECT_TRUE(Scrub().empty());
  EXPECT_EQ(objects_.damaged(), 0);
}

TEST_F(EncodedDamageTest, AMissingBaseIsNamed) {
  ASSERT_THAT(objects_.Delete(base_), Ok());
  const auto damaged = Scrub();
  ASSERT_EQ(damaged.size(), 1);
  EXPECT_EQ(damaged[0].digest, base_);
  EXPECT_EQ(damaged[0].why, "missing");
  EXPECT_FALSE(damaged[0].quarantined);
  EXPECT_THAT(objects_.Open(encoded_), FailsWith(Errc::kCorrupt, "object_damaged", base_.Text()));
  ASSERT_THAT(objects_.Put(MemorySource(base_raw_), base_), Ok());
  EXPECT_TRUE(Contents(**objects_.Open(encoded_)) == raw_);
}

}  // namespace
}  // namespace signum
