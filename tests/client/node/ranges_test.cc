#include <gmock/gmock.h>

#include <condition_variable>
#include <thread>

#include "tests/client/node/node_test_fixture.h"

// Large deltas, which come as ranges over several connections.

namespace signum::client {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

class RangesTest : public NodeTest {
 protected:
  // The deltas of these tests, of some 300 kB, are five ranges.
  NodeOptions InRanges() {
    NodeOptions options = Options();
    options.fetch = {4, 100'000, kChunkBytes};
    return options;
  }
  static std::string ETagOf(const std::string& delta) {
    return "\"" + Sha256::Of(AsBytes(delta)).Hex() + "\"";
  }
  // An answer whose first byte is another.
  static http::Response Spoilt(const http::Request& request, std::string delta) {
    const std::string etag = ETagOf(delta);
    http::Response response = FakeRegistry::ServeRange(request, delta, etag);
    std::get<std::string>(response.body)[0] ^= 1;
    return response;
  }
};

TEST_F(RangesTest, ALargeDeltaIsFetchedByRanges) {
  const LiveModel live = Publish(1, 'a');
  ASSERT_EQ((live.size + kChunkBytes - 1) / kChunkBytes, 5u);
  StartNode(InRanges());
  ASSERT_TRUE(Serves('a'));
  EXPECT_EQ(registry_.ranged_requests(), 5);
  EXPECT_EQ(registry_.delta_requests(), 5);
  EXPECT_THAT(node_->MetricsText(),
              HasSubstr("signum_node_downloaded_bytes_total " + std::to_string(live.size)));
  const auto part = dir_ / "cache" / "deltas";
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(part), {}), 1);  // nothing is left
}

TEST_F(RangesTest, ASmallOneIsOneRequest) {
  Publish(1, 'a');
  StartNode();
  ASSERT_TRUE(Serves('a'));
  EXPECT_EQ(registry_.delta_requests(), 1);
  EXPECT_EQ(registry_.ranged_requests(), 0);
}

TEST_F(RangesTest, RangesComeAtTheSameTime) {
  std::mutex mutex;
  std::condition_variable both;
  int inside = 0;
  bool met = false;
  const auto wait = [&](const http::Request& request, const std::string& delta) {
    std::unique_lock lock(mutex);
    met = ++inside == 2 || met;
    both.notify_all();
    both.wait_for(lock, std::chrono::seconds{5}, [&] { return met; });
    return FakeRegistry::ServeRange(request, delta, ETagOf(delta));
  };
  registry_.Break(wait);
  registry_.Break(wait);
  Publish(1, 'a');
  StartNode(InRanges());
  ASSERT_TRUE(Serves('a'));
  EXPECT_TRUE(met);
}

TEST_F(RangesTest, ACorruptChunkCostsItsRangeAlone) {
  registry_.Break(Spoilt);
  Publish(1, 'a');
  StartNode(InRanges());
  ASSERT_TRUE(Serves('a'));
  EXPECT_EQ(registry_.delta_requests(), 6);
  EXPECT_TRUE(registry_.Reported("chat", "refused").is_null());
}

TEST_F(RangesTest, ARangeThatStaysCorruptIsNamedAndRefused) {
  Publish(1, 'a');
  StartNode(InRanges());
  ASSERT_TRUE(Serves('a'));
  for (int i = 0; i < 60; ++i) registry_.Break(Spoilt);
  Publish(2, 'b');
  ASSERT_TRUE(Refuses("chunk_mismatch"));
  EXPECT_THAT(registry_.Reported("chat", "refused")["reason"].get<std::string>(),
              HasSubstr("acme/chat@2: chunk "));
  ASSERT_TRUE(Eventually([&] { return Pending().size() == 1 && Pending()[0]["gave_up"] == true; }));
  EXPECT_EQ(Weight(), 'a');
  EXPECT_LE(registry_.delta_requests(), 5 + 3 * (3 * 5));
  EXPECT_THAT(node_->MetricsText(),
              HasSubstr("signum_node_verify_failures_total{reason=\"chunk_mismatch\"} 3"));
}

TEST_F(RangesTest, ACutRangeGoesOnWhereItBroke) {
  registry_.Break([](const http::Request& request, const std::string& delta) {
    http::Response response = FakeRegistry::ServeRange(request, delta, ETagOf(delta));
    std::get<std::string>(response.body).resize(10'000);
    return response;
  });
  const LiveModel live = Publish(1, 'a');
  StartNode(InRanges());
  ASSERT_TRUE(Serves('a'));
  EXPECT_EQ(registry_.delta_requests(), 6);
  EXPECT_THAT(node_->MetricsText(),
              HasSubstr("signum_node_downloaded_bytes_total " + std::to_string(live.size)));
}

TEST_F(RangesTest, ARestartFetchesTheRangesThatAreMissing) {
  std::atomic<int> refused = 0;
  const auto the_first_three = [&](const http::Request& request, const std::string& delta) {
    const std::string range(request.Header("range"));  // bytes=FIRST-LAST
    if (std::stoull(range.substr(6)) < 3 * kChunkBytes) {
      return FakeRegistry::ServeRange(request, delta, ETagOf(delta));
    }
    ++refused;
    // The refusal that ends a try cuts the others short: give them time to come.
    std::this_thread::sleep_for(milliseconds{100});
    return http::Json(503, R"({"code":"busy"})");
  };
  for (int i = 0; i < 500; ++i) registry_.Break(the_first_three);
  Publish(1, 'a');
  StartNode(InRanges());
  ASSERT_TRUE(Eventually([&] { return refused >= 6; }));
  node_.reset();
  registry_.Mend();
  const int before = registry_.delta_requests();
  StartNode(InRanges());
  ASSERT_TRUE(Serves('a'));
  EXPECT_EQ(registry_.delta_requests() - before, 2);
}

TEST_F(RangesTest, AServerWithoutRangesGivesItWhole) {
  for (int i = 0; i < 5; ++i) {
    registry_.Break([](const http::Request&, const std::string& delta) {
      http::Response response;
      response.body = delta;
      return response;
    });
  }
  Publish(1, 'a');
  StartNode(InRanges());
  EXPECT_TRUE(Serves('a'));
}

TEST_F(RangesTest, BytesOfTwoRepresentationsAreNeverMixed) {
  registry_.Break([](const http::Request& request, const std::string& delta) {
    return FakeRegistry::ServeRange(request, std::string(delta.size(), 'z'), "\"another\"");
  });
  Publish(1, 'a');
  StartNode(InRanges());
  EXPECT_TRUE(Serves('a'));
}

}  // namespace
}  // namespace signum::client
