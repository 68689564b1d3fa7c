#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <thread>

#include "server/metrics.h"
#include "server/watch_hub.h"
#include "tests/server/api_b/support.h"
#include "tests/server/fixture.h"

namespace signum::test {
namespace {

using std::chrono::steady_clock;

class Watch : public testing::Test {
 protected:
  uint64_t Seq() { return service_.app().catalog.FeedSeq().value(); }
  // Starts a request and returns once it waits.
  std::future<Reply> Waiting(const Client& client, const std::string& target) {
    const uint64_t before = service_.app().metrics.watchers();
    auto reply = std::async(std::launch::async, [client, target] { return client.Get(target); });
    while (service_.app().metrics.watchers() == before) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return reply;
  }

  Service service_{NoWorker()};
  Client node_ = service_.As(Role::kNode, {"acme", "globex"});
};

TEST_F(Watch, LiveNamesWhatToRun) {
  const VersionRecord version = ReadyVersion(service_.app(), "acme", "chat");
  const Reply reply = node_.Get("/v1/tenants/acme/live");
  ASSERT_EQ(reply.status, 200) << reply.body;
  const auto live = reply.Json();
  EXPECT_EQ(live["seq"], Seq());
  EXPECT_EQ(live["tenant"], "acme");
  ASSERT_EQ(live["models"].size(), 1u);
  const auto model = live["models"][0];
  EXPECT_EQ(model["model"], "chat");
  EXPECT_EQ(model["version"], 1);
  EXPECT_EQ(model["digest"], version.delta->Text());
  EXPECT_EQ(model["size"], 100);
  EXPECT_EQ(model["manifest_digest"], version.manifest->Text());
  // By digest, so that caches may keep them.
  const std::string blobs = "http://127.0.0.1:" + std::to_string(service_.port()) + "/v1/blobs/";
  EXPECT_EQ(model["url"], blobs + version.delta->Text());
  EXPECT_EQ(model["manifest_url"], blobs + version.manifest->Text());
}

TEST_F(Watch, LiveIsConditional) {
  ReadyVersion(service_.app(), "acme", "chat");
  const std::string etag = node_.Get("/v1/tenants/acme/live").Header("etag");
  EXPECT_EQ(node_.Get("/v1/tenants/acme/live", {{"If-None-Match", etag}}).status, 304);
  ReadyVersion(service_.app(), "acme", "draw");
  EXPECT_EQ(node_.Get("/v1/tenants/acme/live", {{"If-None-Match", etag}}).status, 200);
}

TEST_F(Watch, WakesForItsTenantsAndForNoOther) {
  const std::string since = std::to_string(Seq());
  auto both = Waiting(node_, "/v1/watch?tenant=acme&tenant=globex&wait=30&since=" + since);
  auto other = Waiting(node_, "/v1/watch?tenant=acme&wait=2&since=" + since);
  ReadyVersion(service_.app(), "globex", "chat");
  const auto changes = both.get().Json();
  ASSERT_EQ(changes["changes"].size(), 1u);
  EXPECT_EQ(changes["seq"], Seq());
  const auto change = changes["changes"][0];
  EXPECT_EQ(change["tenant"], "globex");
  EXPECT_EQ(change["kind"], "live");
  EXPECT_EQ(change["version"], 1);
  EXPECT_EQ(change["seq"], Seq());
  EXPECT_TRUE(change["digest"].is_string());
  const auto nothing = other.get().Json();
  EXPECT_TRUE(nothing["changes"].empty());
  EXPECT_EQ(nothing["seq"], Seq()) << "a quiet tenant's cursor must not age";
}

TEST_F(Watch, WaitEndsInTimeAndKeepsTheCursor) {
  ReadyVersion(service_.app(), "acme", "chat");
  const auto start = steady_clock::now();
  const Reply reply = node_.Get("/v1/watch?tenant=acme&wait=1");
  const auto waited = steady_clock::now() - start;
  EXPECT_EQ(reply.status, 200);
  EXPECT_TRUE(reply.Json()["changes"].empty());
  EXPECT_EQ(reply.Json()["seq"], Seq());
  EXPECT_GE(waited, std::chrono::milliseconds(900));
  EXPECT_LT(waited, std::chrono::seconds(10));
}

TEST_F(Watch, TellsWhatHappenedBeforeItCame) {
  const std::string since = std::to_string(Seq());
  ReadyVersion(service_.app(), "acme", "chat");
  ReadyVersion(service_.app(), "acme", "chat");
  service_.app().catalog.SetAlias("acme", "chat", "live", 2, {}).value();
  service_.app().catalog.DeleteAlias("acme", "chat", "live", {}).value();
  const auto changes = node_.Get("/v1/watch?tenant=acme&wait=0&since=" + since).Json()["changes"];
  ASSERT_EQ(changes.size(), 3u);
  EXPECT_EQ(changes[0]["version"], 1);
  EXPECT_EQ(changes[1]["version"], 2);
  EXPECT_EQ(changes[2]["kind"], "removed");
  EXPECT_EQ(changes[2]["model"], "chat");
}

TEST_F(Watch, WithoutTenantsWatchesTheTokensOwn) {
  auto waiting = Waiting(node_, "/v1/watch?wait=30");
  ReadyVersion(service_.app(), "acme", "chat");
  EXPECT_EQ(waiting.get().Json()["changes"].size(), 1u);
  EXPECT_EQ(service_.admin().Get("/v1/watch?wait=0").status, 400) << "an admin has no own tenants";
}

TEST_F(Watch, SinceThatNeverWasIsGone) {
  const Reply reply = node_.Get("/v1/watch?tenant=acme&wait=0&since=" + std::to_string(Seq() + 9));
  EXPECT_EQ(reply.status, 410);
  EXPECT_EQ(reply.Code(), "feed_gone");
  EXPECT_EQ(reply.Json()["status"], 410);
}

TEST_F(Watch, RefusesWhatItCannotMean) {
  EXPECT_EQ(node_.Get("/v1/watch?tenant=acme&wait=61").status, 400);
  EXPECT_EQ(node_.Get("/v1/watch?tenant=acme&wait=-1").status, 400);
  EXPECT_EQ(node_.Get("/v1/watch?tenant=acme&since=x").status, 400);
  EXPECT_EQ(node_.Get("/v1/watch?tenant=UP&wait=0").Code(), "bad_name");
  EXPECT_EQ(service_.admin().Get("/v1/watch?tenant=..&wait=0").status, 400);
  EXPECT_EQ(service_.admin().Get("/v1/tenants/UP/live").Code(), "bad_name");
  EXPECT_EQ(node_.Get("/v1/watch?tenant=initech&wait=0").Code(), "not_yours");
  EXPECT_EQ(node_.Get("/v1/watch?tenant=acme&tenant=initech&wait=0").status, 403);
}

TEST_F(Watch, EventsCarryOnFromTheLastOneSeen) {
  const uint64_t since = Seq();
  ReadyVersion(service_.app(), "acme", "chat");
  Connection connection(service_.port());
  connection.Send(
      node_.Head("GET", "/v1/watch?tenant=acme",
                 {{"Accept", "text/event-stream"}, {"Last-Event-ID", std::to_string(since)}}, 0));
  const std::string first = connection.ReadUntil("\n\n");
  EXPECT_NE(first.find("text/event-stream"), std::string::npos) << first;
  EXPECT_NE(first.find("id: " + std::to_string(Seq()) + "\nevent: change\ndata: {"),
            std::string::npos)
      << first;
  ReadyVersion(service_.app(), "acme", "draw");
  const std::string second = connection.ReadUntil("\n\n");
  EXPECT_NE(second.find("\"model\":\"draw\""), std::string::npos) << second;
  EXPECT_NE(second.find("id: " + std::to_string(Seq())), std::string::npos) << second;
}

TEST_F(Watch, EventsOfAGoneCursorAreAProblemNotAStream) {
  const Reply reply =
      node_.Get("/v1/watch?tenant=acme&since=99", {{"Accept", "text/event-stream"}});
  EXPECT_EQ(reply.status, 410);
}

TEST_F(Watch, AVanishedWatcherIsForgotten) {
  App& app = service_.app();
  {
    Connection connection(service_.port());
    connection.Send(node_.Head("GET", "/v1/watch?tenant=acme&wait=60", {}, 0));
    while (app.metrics.watchers() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    connection.Abort();
  }
  const auto deadline = steady_clock::now() + std::chrono::seconds(10);
  while (app.metrics.watchers() != 0 && steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_EQ(app.metrics.watchers(), 0u);
}

TEST_F(Watch, HubWakesUntilTheHandleIsDropped) {
  WatchHub hub(service_.app().catalog);
  std::atomic<int> woken = 0;
  auto handle = hub.Subscribe({"acme", "globex"}, [&] { ++woken; });
  ReadyVersion(service_.app(), "globex", "chat");
  ReadyVersion(service_.app(), "initech", "chat");
  EXPECT_EQ(woken, 1);
  handle.reset();
  ReadyVersion(service_.app(), "acme", "chat");
  EXPECT_EQ(woken, 1);
}

}  // namespace
}  // namespace signum::test
