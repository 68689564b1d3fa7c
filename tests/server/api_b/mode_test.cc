#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "tests/server/api_b/support.h"
#include "tests/server/fixture.h"
#include "tests/server/models.h"

namespace signum::test {
namespace {

using nlohmann::json;

constexpr const char* kMode = "/v1/admin/mode";

class ModeApi : public testing::Test {
 protected:
  void SetReadOnly(bool read_only) {
    const Reply reply = service_.admin().Put(kMode, {{"read_only", read_only}});
    ASSERT_EQ(reply.status, 200) << reply.body;
    EXPECT_EQ(reply.Json(), json({{"read_only", read_only}}));
  }
  static void ExpectReadOnly(const Reply& reply) {
    EXPECT_EQ(reply.status, 503) << reply.body;
    EXPECT_EQ(reply.Code(), "read_only");
    EXPECT_EQ(reply.Header("retry-after"), "30");
  }

  Service service_{NoWorker()};
};

TEST_F(ModeApi, ChangesAreRefusedAndReadsGoOn) {
  ReadyVersion(service_.app(), "acme", "chat");
  const Client publisher = service_.As(Role::kPublisher, {"acme"});
  const json upload = CreateUpload(publisher, {{"config.json", "{}"}}, false);
  const std::string file = PathOf(upload["files"][0]["url"]);
  SetReadOnly(true);
  const std::string version = "/v1/tenants/acme/models/chat/versions/1";
  ExpectReadOnly(publisher.Post("/v1/uploads", {{"files", {{{"path", "a"}, {"size", 1}}}}}));
  ExpectReadOnly(publisher.Call("PUT", file, {}, "{}"));
  ExpectReadOnly(publisher.Call(
      "PATCH", file, {{"Content-Type", "application/offset+octet-stream"}, {"Upload-Offset", "0"}},
      "{}"));
  ExpectReadOnly(publisher.Delete(version));
  ExpectReadOnly(
      service_.As(Role::kNode, {"acme"}).Put("/v1/nodes/n1", {{"models", json::array()}}));
  ExpectReadOnly(service_.admin().Post("/v1/admin/gc", json::object()));
  EXPECT_EQ(service_.admin().Post("/v1/nowhere", json::object()).status, 404);
  EXPECT_EQ(Client(service_.port(), "").Delete(version).status, 401);
  EXPECT_EQ(publisher.Get(version).status, 200);
  EXPECT_EQ(publisher.Call("HEAD", file).status, 200);
  EXPECT_EQ(publisher.Get("/v1/tenants/acme/live").status, 200);
  EXPECT_EQ(service_.admin().Get(kMode).Json(), json({{"read_only", true}}));
  SetReadOnly(false);
  EXPECT_EQ(publisher.Call("PUT", file, {}, "{}").status, 200);
}

TEST_F(ModeApi, ReadinessAndMetricsTell) {
  SetReadOnly(true);
  const Reply ready = Client(service_.port(), "").Get("/readyz");
  EXPECT_EQ(ready.status, 200) << "reads go on, so it stays in rotation";
  EXPECT_EQ(ready.Json()["status"], "read_only");
  service_.admin().Post("/v1/admin/gc", json::object());
  const std::string metrics = service_.admin().Get("/metrics").body;
  EXPECT_NE(metrics.find("\nsignum_read_only 1\n"), std::string::npos);
  EXPECT_NE(metrics.find("\nsignum_refusals_total{reason=\"read_only\"} 1\n"), std::string::npos);
  SetReadOnly(false);
  EXPECT_EQ(Client(service_.port(), "").Get("/readyz").Json()["status"], "ready");
}

TEST_F(ModeApi, ASwitchIsInTheLogOnce) {
  SetReadOnly(true);
  SetReadOnly(true);
  SetReadOnly(false);
  std::vector<std::string> switches;
  const json log = service_.admin().Get("/v1/audit/log").Json();
  for (const json& entry : log["entries"]) {
    if (entry["action"] == "mode.set") switches.push_back(entry["target"]);
  }
  EXPECT_EQ(switches, (std::vector<std::string>{"read-only", "read-write"}));
}

TEST_F(ModeApi, WrongBodiesChangeNothing) {
  for (const json& body :
       {json::object(), json({{"read_only", "yes"}}), json({{"read_only", 1}}),
        json({{"read_only", nullptr}}), json({{"read_only", true}, {"why", "maintenance"}})}) {
    const Reply reply = service_.admin().Put(kMode, body);
    EXPECT_EQ(reply.status, 422) << body;
  }
  EXPECT_EQ(service_.admin().Get(kMode).Json(), json({{"read_only", false}}));
}

TEST_F(ModeApi, NoJobBeginsUntilItEnds) {
  SetReadOnly(true);
  const VersionRecord version = QueueVersion(service_.app(), "acme", "chat");
  const JobRecord gc = service_.app().catalog.CreateSystemJob("gc", "{}").value();
  service_.StartWorker();
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));  // both look at once, then each 1 s
  const auto state = [&](const std::string& job) {
    return service_.app().catalog.GetJob(job).value().state;
  };
  EXPECT_EQ(state(version.job), JobState::kQueued);
  EXPECT_EQ(state(gc.id), JobState::kQueued);
  SetReadOnly(false);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  const auto waits = [&] {
    return state(version.job) == JobState::kQueued || state(gc.id) != JobState::kDone;
  };
  while (waits() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_NE(state(version.job), JobState::kQueued);
  EXPECT_EQ(state(gc.id), JobState::kDone);
}

}  // namespace
}  // namespace signum::test
