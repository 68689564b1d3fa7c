#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/server/api_b/support.h"
#include "tests/server/fixture.h"

namespace signum::test {
namespace {

const std::string kModel = "/v1/tenants/acme/models/chat";
const std::string kLive = kModel + "/aliases/live";
const std::string kCandidate = kModel + "/aliases/candidate";

class Aliases : public testing::Test {
 protected:
  Aliases() {
    ReadyVersion(service_.app(), "acme", "chat");
    ReadyVersion(service_.app(), "acme", "chat");
  }

  Service service_{NoWorker()};
  Client publisher_ = service_.As(Role::kPublisher, {"acme"});
};

TEST_F(Aliases, FirstReadyVersionIsLiveAndTheNewestIsLatest) {
  const auto aliases = publisher_.Get(kModel + "/aliases").Json()["aliases"];
  ASSERT_EQ(aliases.size(), 2u);
  EXPECT_EQ(aliases[0]["alias"], "latest");
  EXPECT_EQ(aliases[0]["version"], 2);
  EXPECT_EQ(aliases[1]["alias"], "live");
  EXPECT_EQ(aliases[1]["version"], 1);
}

TEST_F(Aliases, PutMakesThenMovesAndTellsWhatItWas) {
  const Reply made = publisher_.Put(kCandidate, {{"version", 1}});
  EXPECT_EQ(made.status, 201) << made.body;
  EXPECT_TRUE(made.Json()["previous"].is_null());
  const Reply moved = publisher_.Put(kCandidate, {{"version", 2}});
  EXPECT_EQ(moved.status, 200);
  EXPECT_EQ(moved.Json()["previous"], 1);
  EXPECT_NE(moved.Header("etag"), made.Header("etag"));
  EXPECT_EQ(publisher_.Get(kCandidate).Json(), moved.Json());
}

TEST_F(Aliases, IfMatchOfAnOldStateIsLost) {
  const std::string first = publisher_.Get(kLive).Header("etag");
  ASSERT_EQ(publisher_.Put(kLive, {{"version", 2}}, {{"If-Match", first}}).status, 200);
  const Reply lost = publisher_.Put(kLive, {{"version", 1}}, {{"If-Match", first}});
  EXPECT_EQ(lost.status, 412);
  EXPECT_EQ(lost.Code(), "alias_changed");
  EXPECT_EQ(publisher_.Get(kLive).Json()["version"], 2);
  EXPECT_EQ(publisher_.Put(kLive, {{"version", 1}}, {{"If-Match", "*"}}).status, 200);
}

TEST_F(Aliases, IfNoneMatchStarOnlyMakes) {
  const HeaderList only_new = {{"If-None-Match", "*"}};
  EXPECT_EQ(publisher_.Put(kCandidate, {{"version", 1}}, only_new).status, 201);
  EXPECT_EQ(publisher_.Put(kCandidate, {{"version", 2}}, only_new).status, 412);
  EXPECT_EQ(publisher_.Put(kModel + "/aliases/other", {{"version", 1}}, {{"If-Match", "*"}}).status,
            412);
}

TEST_F(Aliases, EtagOfADeletedAliasNeverComesBack) {
  const std::string before = publisher_.Put(kCandidate, {{"version", 1}}).Header("etag");
  ASSERT_EQ(publisher_.Delete(kCandidate, {{"If-Match", before}}).status, 204);
  EXPECT_EQ(publisher_.Get(kCandidate).Code(), "unknown_alias");
  ASSERT_EQ(publisher_.Put(kCandidate, {{"version", 2}}).status, 201);
  EXPECT_EQ(publisher_.Put(kCandidate, {{"version", 1}}, {{"If-Match", before}}).status, 412);
}

TEST_F(Aliases, GetIsConditional) {
  const std::string etag = publisher_.Get(kLive).Header("etag");
  const Reply same = publisher_.Get(kLive, {{"If-None-Match", etag}});
  EXPECT_EQ(same.status, 304);
  EXPECT_EQ(same.Header("etag"), etag);
  EXPECT_TRUE(same.body.empty());
}

TEST_F(Aliases, RefusesWhatCannotBe) {
  QueueVersion(service_.app(), "acme", "chat");
  EXPECT_EQ(publisher_.Put(kLive, {{"version", 3}}).Code(), "version_not_ready");
  EXPECT_EQ(publisher_.Put(kLive, {{"version", 3}}).status, 409);
  EXPECT_EQ(publisher_.Put(kLive, {{"version", 9}}).status, 404);
  EXPECT_EQ(publisher_.Put(kModel + "/aliases/latest", {{"version", 1}}).Code(), "alias_reserved");
  EXPECT_EQ(publisher_.Delete(kModel + "/aliases/latest").Code(), "alias_reserved");
  EXPECT_EQ(publisher_.Put(kModel + "/aliases/UP", {{"version", 1}}).status, 400);
  EXPECT_EQ(publisher_.Put(kLive, {{"version", "1"}}).status, 422);
  EXPECT_EQ(publisher_.Put(kLive, {{"version", 1}, {"verison", 2}}).Code(), "unknown_field");
  EXPECT_EQ(publisher_.Call("PUT", kLive, {{"Content-Type", "text/plain"}}, "{}").status, 415);
}

// Each thread adds one by reading the alias and moving it under If-Match; whoever loses tries
// again. If two could win the same round, or a winner were told that it lost, the count of moves
// would be off.
TEST_F(Aliases, OneOfManyWinsEachRound) {
  constexpr int kThreads = 4;
  constexpr int kMoves = 8;
  std::atomic<int> won = 0;
  std::vector<std::thread> threads;
  const uint64_t before = publisher_.Get(kLive).Json()["revision"];
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int mine = 0; mine < kMoves;) {
        const Reply seen = publisher_.Get(kLive);
        const int next = seen.Json()["version"] == 1 ? 2 : 1;
        const Reply put =
            publisher_.Put(kLive, {{"version", next}}, {{"If-Match", seen.Header("etag")}});
        ASSERT_THAT(put.status, testing::AnyOf(200, 412));
        if (put.status == 200) ++mine, ++won;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(won, kThreads * kMoves);
  EXPECT_EQ(publisher_.Get(kLive).Json()["revision"], before + kThreads * kMoves);
}

}  // namespace
}  // namespace signum::test
