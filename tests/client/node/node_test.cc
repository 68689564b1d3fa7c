#include "client/node/node.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "client/node/node_service.h"
#include "tests/client/node/node_test_fixture.h"

// A whole node against a registry that misbehaves on request.

namespace signum::client {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using ::testing::HasSubstr;

TEST_F(NodeTest, LoadsWhatIsLiveAndReportsIt) {
  const LiveModel live = Publish(1, 'a');
  StartNode();
  ASSERT_TRUE(Serves('a'));
  ASSERT_TRUE(Eventually([&] { return registry_.Reported("chat", "applied").is_object(); }));
  const json entry = registry_.Reported("chat", "applied");
  EXPECT_EQ(entry["version"], 1);
  EXPECT_EQ(entry["digest"], live.digest.Text());
  EXPECT_EQ(registry_.last_report()["device"], "cpu");
  EXPECT_EQ(registry_.last_report()["memory"]["total"], 10 << 20);
  EXPECT_EQ(registry_.last_report()["memory"]["free"], (10 << 20) - live.size);
  const auto lease = node_->residency().Acquire("acme", "chat").value();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(lease->arena->View().data()) % 256, 0u);
  EXPECT_EQ(node_->NotReadyBecause(), "");
}

TEST_F(NodeTest, SwapsWhileAReaderKeepsTheOldGeneration) {
  Publish(1, 'a');
  StartNode();
  ASSERT_TRUE(Serves('a'));
  Lease reader = node_->residency().Acquire("acme", "chat").value();
  Publish(2, 'b');
  ASSERT_TRUE(Serves('b'));
  EXPECT_EQ(reader->live.version, 1u);
  const json document = node_->ResidencyDocument();
  ASSERT_EQ(document["models"].size(), 1u);
  EXPECT_EQ(document["models"][0]["version"], 2);
  ASSERT_EQ(document["retiring"].size(), 1u);
  EXPECT_EQ(document["retiring"][0]["version"], 1);
  EXPECT_EQ(document["retiring"][0]["leases"], 1);
  reader.Release();
  EXPECT_TRUE(node_->ResidencyDocument()["retiring"].empty());
  EXPECT_EQ(node_->ResidencyDocument()["freed"], 1);
}

TEST_F(NodeTest, RollsBackFromTheCache) {
  const LiveModel first = Publish(1, 'a');
  StartNode();
  ASSERT_TRUE(Serves('a'));
  Publish(2, 'b');
  ASSERT_TRUE(Serves('b'));
  const int requests = registry_.delta_requests();
  registry_.MakeLive(first);
  ASSERT_TRUE(Serves('a'));
  EXPECT_EQ(registry_.delta_requests(), requests);
}

TEST_F(NodeTest, RetiresWhatIsRemoved) {
  Publish(1, 'a');
  StartNode();
  ASSERT_TRUE(Serves('a'));
  registry_.Remove("acme", "chat");
  EXPECT_TRUE(Serves(0));
  EXPECT_TRUE(Eventually([&] { return registry_.last_report()["models"].empty(); }));
  EXPECT_EQ(node_->ResidencyDocument()["memory"]["used"], 0);
}

TEST_F(NodeTest, AChangeIsFetchedWithinTheWindowAndNotAtOnceByAll) {
  Publish(1, 'a');
  NodeOptions options = Options();
  options.fetch_window = std::chrono::hours{1};
  StartNode(options);
  ASSERT_TRUE(Serves('a'));  // what is live at the start is fetched at once
  const LiveModel first = node_->residency().Acquire("acme", "chat").value()->live;
  Publish(2, 'b');
  ASSERT_TRUE(Eventually([&] { return Pending().size() == 1; }));
  std::this_thread::sleep_for(milliseconds{100});
  EXPECT_EQ(Pending()[0]["state"], "waiting");
  EXPECT_EQ(Weight(), 'a');
  EXPECT_EQ(node_->NotReadyBecause(), "");
  registry_.MakeLive(first);  // nothing to fetch, nothing to wait for
  ASSERT_TRUE(Eventually([&] { return Pending().empty(); }));
  EXPECT_EQ(registry_.delta_requests(), 1);
  node_.reset();
  options.fetch_window = milliseconds{200};
  StartNode(options);
  ASSERT_TRUE(Serves('a'));
  Publish(3, 'c');
  EXPECT_TRUE(Serves('c'));
}

TEST_F(NodeTest, AsksForLiveListsThatItHasConditionally) {
  Publish(1, 'a');
  registry_.Publish("other", "draw", 1, 'd', dir_ / "scratch");
  registry_.RefuseLive("other", 503, 0);  // so that both are read again
  registry_.RefuseLive("other", 503, 0);
  NodeOptions options = Options();
  options.tenants = {"acme", "other"};
  StartNode(options);
  ASSERT_TRUE(Serves('a'));
  ASSERT_TRUE(Eventually([&] { return node_->residency().Acquire("other", "draw").has_value(); }));
  EXPECT_EQ(registry_.live_lists(), 2);
  EXPECT_EQ(registry_.live_unchanged(), 2);
}

TEST_F(NodeTest, AnUnchangedLiveListIsTheOneKnown) {
  const LiveModel live = Publish(1, 'a');
  RegistryOptions options;
  options.url = registry_.url();
  Registry registry(options);
  const LiveState first = registry.Live("acme").value();
  const LiveState second = registry.Live("acme", &first).value();
  EXPECT_EQ(registry_.live_unchanged(), 1);
  EXPECT_EQ(second.seq, first.seq);
  ASSERT_EQ(second.models.size(), 1u);
  EXPECT_EQ(second.models[0].digest, live.digest);
  Publish(2, 'b');
  EXPECT_EQ(registry.Live("acme", &second).value().models.at(0).version, 2u);
  EXPECT_EQ(registry_.live_unchanged(), 1);
}

TEST_F(NodeTest, WatchAndReportsWaitForAsLongAsTheRegistryAsks) {
  Publish(1, 'a');
  for (const int status : {429, 503}) registry_.RefuseWatch(status, 1);
  registry_.RefuseReport(429, 1);
  StartNode();
  ASSERT_TRUE(Serves('a'));
  ASSERT_TRUE(Eventually([&] { return registry_.watches().size() > 3; }));
  const auto watches = registry_.watches();
  EXPECT_GE(watches[1] - watches[0], std::chrono::seconds{1});
  EXPECT_GE(watches[2] - watches[1], std::chrono::seconds{1});
  EXPECT_LT(watches[3] - watches[2], milliseconds{900});
  const auto reports = registry_.reports();
  ASSERT_GT(reports.size(), 1u);
  EXPECT_GE(reports[1] - reports[0], std::chrono::seconds{1});
}

TEST_F(NodeTest, ReadsLiveAgainWhenTheFeedIsGone) {
  Publish(1, 'a');
  StartNode();
  ASSERT_TRUE(Serves('a'));
  registry_.Stop();
  Publish(2, 'b');
  registry_.ForgetFeed();
  registry_.Start(registry_.port());
  EXPECT_TRUE(Serves('b'));
}

// ---- wrong bytes

http::Response Flipped(const http::Request& request, std::string delta) {
  delta[200'000] = static_cast<char>(delta[200'000] ^ 1);
  return FakeRegistry::ServeRange(request, delta, "\"x\"");
}

TEST_F(NodeTest, AFlippedByteIsNamedRefusedAndTheOldGenerationKept) {
  Publish(1, 'a');
  StartNode();
  ASSERT_TRUE(Serves('a'));
  for (int i = 0; i < 3; ++i) registry_.Break(Flipped);
  Publish(2, 'b');
  ASSERT_TRUE(Refuses("chunk_mismatch"));
  EXPECT_THAT(registry_.Reported("chat", "refused")["reason"].get<std::string>(),
              HasSubstr("chunk 3 (bytes 196608 to 262143)"));
  EXPECT_EQ(registry_.Reported("chat", "refused")["version"], 2);
  EXPECT_EQ(registry_.Reported("chat", "applied")["version"], 1);
  ASSERT_TRUE(Eventually([&] { return Pending().size() == 1 && Pending()[0]["gave_up"] == true; }));
  EXPECT_EQ(Weight(), 'a');
  EXPECT_EQ(registry_.delta_requests(), 1 + 3);  // a bounded number of tries
  EXPECT_THAT(node_->MetricsText(),
              HasSubstr("signum_node_refused_total{reason=\"chunk_mismatch\"} 3"));
  Publish(3, 'c');
  EXPECT_TRUE(Serves('c'));
}

TEST_F(NodeTest, OneBadTransferHealsByItself) {
  registry_.Break(Flipped);
  Publish(1, 'a');
  StartNode();
  EXPECT_TRUE(Serves('a'));
}

TEST_F(NodeTest, ATruncatedTransferGoesOnWhereItBroke) {
  registry_.Break([](const http::Request&, const std::string& delta) {
    http::Response response;
    response.Set("ETag", "\"" + Sha256::Of(AsBytes(delta)).Hex() + "\"");
    response.body = delta.substr(0, 100'000);  // a whole answer, but not the whole file
    return response;
  });
  Publish(1, 'a');
  StartNode();
  EXPECT_TRUE(Serves('a'));
  EXPECT_EQ(registry_.ranged_requests(), 1);
}

TEST_F(NodeTest, BytesOfTwoRepresentationsAreNeverMixed) {
  registry_.Break([](const http::Request&, const std::string&) {
    http::Response response;
    response.Set("ETag", "\"another\"");
    response.body = std::string(100'000, 'z');
    return response;
  });
  Publish(1, 'a');
  StartNode();
  EXPECT_TRUE(Serves('a'));  // If-Range did not match, so the whole file came
  EXPECT_EQ(registry_.ranged_requests(), 1);
}

TEST_F(NodeTest, WaitsWhenTheRegistrySaysSo) {
  const auto begin = std::chrono::steady_clock::now();
  registry_.Break([](const http::Request&, const std::string&) {
    http::Response response = http::Json(503, R"({"code":"busy"})");
    response.Set("Retry-After", "1");
    return response;
  });
  Publish(1, 'a');
  StartNode();
  EXPECT_TRUE(Serves('a'));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::seconds{1});
}

TEST_F(NodeTest, ASignatureOfAnotherKeyIsRefused) {
  Publish(1, 'a');
  StartNode();
  ASSERT_TRUE(Serves('a'));
  const SigningKey other = SigningKey::FromSeed(std::string(32, 'o')).value();
  registry_.Publish("acme", "chat", 2, 'b', dir_ / "scratch", {}, &other);
  EXPECT_TRUE(Refuses("unknown_key"));
  EXPECT_EQ(Weight(), 'a');
  EXPECT_EQ(registry_.delta_requests(), 1);  // nothing is fetched on the word of a stranger
}

TEST_F(NodeTest, OnlyTheKeyThatTheOperatorNamesCounts) {
  Publish(1, 'a');
  NodeOptions options = Options();
  options.trust_key = SigningKey::FromSeed(std::string(32, 'o')).value().public_key().ToBase64();
  StartNode(options);
  EXPECT_TRUE(Refuses("unknown_key"));
  options.trust_key = "not a key";
  EXPECT_FALSE(Node::Start(options));
}

TEST_F(NodeTest, AManifestOfAnotherBaseIsRefused) {
  registry_.Publish("acme", "chat", 1, 'a', dir_ / "scratch", [](Manifest& manifest) {
    manifest.base_digest = Sha256::Of(AsBytes("another base"));
  });
  StartNode();
  EXPECT_TRUE(Refuses("base_mismatch"));
}

TEST_F(NodeTest, AManifestOfAnotherVersionIsRefused) {
  registry_.Publish("acme", "chat", 2, 'a', dir_ / "scratch",
                    [](Manifest& manifest) { manifest.version = 1; });
  StartNode();
  EXPECT_TRUE(Refuses("manifest_mismatch"));
}

TEST_F(NodeTest, ADeltaOverTheBudgetIsRefusedWithTheNumbers) {
  const LiveModel live = Publish(1, 'a');
  NodeOptions options = Options();
  options.memory_bytes = live.size - 1;
  StartNode(options);
  ASSERT_TRUE(Refuses("memory_budget"));
  EXPECT_THAT(registry_.Reported("chat", "refused")["reason"].get<std::string>(),
              HasSubstr("needs " + std::to_string(live.size)));
}

// ---- restarts

TEST_F(NodeTest, ARestartLoadsFromTheCacheEvenWithoutARegistry) {
  Publish(1, 'a');
  StartNode();
  ASSERT_TRUE(Serves('a'));
  node_.reset();
  const int requests = registry_.delta_requests();
  registry_.Stop();
  StartNode();
  EXPECT_TRUE(Serves('a'));
  EXPECT_EQ(node_->NotReadyBecause(), "");
  EXPECT_EQ(node_->ResidencyDocument()["registry"]["reachable"], false);
  registry_.Start(registry_.port());
  EXPECT_TRUE(
      Eventually([&] { return node_->ResidencyDocument()["registry"]["reachable"] == true; }));
  EXPECT_EQ(registry_.delta_requests(), requests);
}

TEST_F(NodeTest, ADamagedCacheEntryIsDroppedAndFetchedAgain) {
  const LiveModel live = Publish(1, 'a');
  StartNode();
  ASSERT_TRUE(Serves('a'));
  node_.reset();
  const auto path = dir_ / "cache" / "deltas" / live.digest.Hex();
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(150'000);
    file.put('?');
  }
  StartNode();
  EXPECT_TRUE(Serves('a'));
  EXPECT_EQ(registry_.delta_requests(), 2);
}

TEST_F(NodeTest, ARegistryThatComesLaterIsFound) {
  const LiveModel live = Publish(1, 'a');
  registry_.Stop();
  StartNode();
  EXPECT_THAT(node_->NotReadyBecause(), HasSubstr("not known"));
  ASSERT_TRUE(
      Eventually([&] { return node_->ResidencyDocument()["registry"]["error"].is_string(); }));
  EXPECT_THAT(node_->NotReadyBecause(), HasSubstr("Couldn't connect"));
  registry_.Start(registry_.port());
  EXPECT_TRUE(Serves('a'));
}

TEST_F(NodeTest, PinsTheFirstKeysItSees) {
  Publish(1, 'a');
  StartNode();
  ASSERT_TRUE(Serves('a'));
  const std::string pinned = ReadFile(dir_ / "cache" / "trusted.keys", 1000).value();
  EXPECT_EQ(pinned, registry_.key().public_key().ToBase64() + "\n");
}

// ---- what it answers

TEST_F(NodeTest, AnswersHealthReadinessModelsResidencyAndMetrics) {
  const LiveModel live = Publish(1, 'a');
  StartNode();
  ASSERT_TRUE(Serves('a'));
  http::ServerOptions listen;
  listen.io_threads = 1;
  listen.pool_threads = 1;
  http::Server::Hooks hooks;
  hooks.gate = [](auto&&...) { return std::nullopt; };
  hooks.observe = [](const http::AccessRecord&) {};
  const auto server = http::Server::Start(listen, NodeRoutes(*node_), std::move(hooks)).value();
  const auto get = [&](const std::string& path) {
    HttpRequest request;
    request.url = "http://127.0.0.1:" + std::to_string(server->port()) + path;
    return HttpClient().Send(request).value();
  };
  EXPECT_EQ(get("/healthz").status, 200);
  EXPECT_TRUE(Eventually([&] { return get("/readyz").status == 200; }));
  const json models = json::parse(get("/v1/models").body);
  EXPECT_EQ(models["data"][0]["id"], "acme/chat");
  EXPECT_EQ(models["data"][0]["system_fingerprint"], live.digest.Text());
  const json residency = json::parse(get("/v1/residency").body);
  EXPECT_EQ(residency["models"][0]["version"], 1);
  EXPECT_EQ(residency["models"][0]["state"], "applied");
  const HttpResponse metrics = get("/metrics");
  EXPECT_THAT(metrics.body, HasSubstr("signum_node_published 1"));
  EXPECT_THAT(metrics.body, HasSubstr("signum_node_loads_total{source=\"registry\"} 1"));
  EXPECT_EQ(get("/v1/nothing").status, 404);
}

}  // namespace
}  // namespace signum::client
