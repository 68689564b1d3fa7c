// A scrub that makes damaged deltas again from what the exact tier keeps.

#include <gtest/gtest.h>

#include <thread>

#include "storage/catalog.h"
#include "storage/object_store.h"
#include "tests/server/models.h"
#include "tests/support/result_matchers.h"

namespace signum::test {
namespace {

using nlohmann::json;

class ScrubApiTest : public testing::Test {
 protected:
  ScrubApiTest() { CreateBase(service_.admin(), "base", MakeSmall({})); }

  // A ready version whose delta is known to be damaged; the digest.
  Digest PublishDamaged(const json& options) {
    const json pushed = Push(service_.admin(), "/v1/tenants/acme/models/chat", "base",
                             MakeSmall({.seed = 7}), options);
    EXPECT_EQ(WaitForVersion(service_.admin(), pushed)["state"], "ready");
    const Digest delta = *Version().delta;
    EXPECT_THAT(service_.app().objects.MarkDamaged(delta, "a test says so"), Ok());
    EXPECT_EQ(service_.admin().Get(kVersion + "/delta").Code(), "object_damaged");
    return delta;
  }

  VersionRecord Version() { return *service_.app().catalog.GetVersion("acme", "chat", 1); }

  // What a scrub says of the only damaged object.
  json Scrub(const json& request) {
    const Reply queued = service_.admin().Post("/v1/admin/scrub", request);
    EXPECT_EQ(queued.status, 202) << queued.body;
    const std::string job = "/v1/jobs/" + queued.Json()["job"].get<std::string>();
    json shown = json::object();
    for (int i = 0; i < 600 && shown.value("state", "") != "done"; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      shown = service_.admin().Get(job).Json();
    }
    const json damaged = shown["result"]["damaged"];
    EXPECT_EQ(damaged.size(), 1) << shown;
    return damaged.empty() ? json::object() : damaged[0];
  }

  const std::string kVersion = "/v1/tenants/acme/models/chat/versions/1";
  Service service_;
};

TEST_F(ScrubApiTest, ADeltaIsMadeAgain) {
  const Digest delta = PublishDamaged(json::object());
  EXPECT_FALSE(Scrub(json::object())["repaired"]);  // not unless asked for
  const json damaged = Scrub({{"recompress", true}});
  EXPECT_TRUE(damaged["repaired"]) << damaged;
  EXPECT_FALSE(damaged.contains("not_repaired"));
  const Reply served = service_.admin().Get(kVersion + "/delta");
  EXPECT_EQ(served.status, 200);
  EXPECT_EQ(Sha256Text(served.body), delta.Text());
}

TEST_F(ScrubApiTest, WithoutTheExactUploadItSaysSo) {
  PublishDamaged({{"keep_exact", false}});
  const json damaged = Scrub({{"recompress", true}});
  EXPECT_FALSE(damaged["repaired"]);
  EXPECT_EQ(damaged["not_repaired"], "the exact upload of acme/chat@1 is not kept");
}

// As where a training gave other scales: the version was asked for otherwise than it was made.
TEST_F(ScrubApiTest, OtherBytesAreNotStoredAndSayWhatToDo) {
  PublishDamaged(json::object());
  Engine& engine = service_.app().engine;
  const std::string key = "t/acme/version/chat/" + std::string(19, '0') + "1";
  const std::string stored = **engine.Get(key);
  std::string changed = stored;
  const std::string asked = "row+col";
  ASSERT_NE(changed.find(asked), std::string::npos);
  for (size_t at; (at = changed.find(asked)) != std::string::npos;) {
    changed.replace(at, asked.size(), "tensor");
  }
  Batch batch;
  batch.mutations.push_back({key, changed});
  ASSERT_THAT(engine.Commit(batch), Ok());
  const json damaged = Scrub({{"recompress", true}});
  EXPECT_FALSE(damaged["repaired"]);
  EXPECT_NE(damaged["not_repaired"].get<std::string>().find("signum recompress acme/chat@1"),
            std::string::npos);
  EXPECT_EQ(service_.admin().Get(kVersion + "/delta").Code(), "object_damaged");
}

}  // namespace
}  // namespace signum::test
