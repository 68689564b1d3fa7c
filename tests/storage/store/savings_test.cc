// The audit of savings, over a store with a base and its fine-tunes.

#include "storage/savings.h"

#include "tests/storage/store/model_store.h"

namespace signum {
namespace {

class SavingsTest : public ModelStoreTest {
 protected:
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
};

TEST_F(SavingsTest, AnEmptyStoreHasOnlyItsOwnBytes) {
  const SavingsReport report = Audit({.tenant = true});
  EXPECT_TRUE(report.groups.empty());
  EXPECT_GT(report.totals.metadata_bytes, 0);
  EXPECT_EQ(report.totals.ratio(), 0);
}

TEST_F(SavingsTest, TotalsAreWhatTheDiskHolds) {
  CreateBase("tiny", ModelDirectory("base"));
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
  CreateBase("tiny", ModelDirectory("base"));
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
  CreateBase("tiny", ModelDirectory("base"));
  CreateBase("unused", ModelDirectory("") / "sqlite");
  CreateVersion("acme", "kjv", 500'000);
  const SavingsReport report = Audit({.tenant = true});
  ExpectSumsUp(report);
  ASSERT_EQ(report.groups.size(), 2);
  EXPECT_EQ(report.groups[0].tenant, "acme");
  EXPECT_EQ(report.groups[1].base, "unused");
  EXPECT_EQ(report.groups[1].versions, 0);
  EXPECT_GT(report.groups[1].base_share, 6'000'000);
}

}  // namespace
}  // namespace signum
