#include <gmock/gmock.h>

#include "tests/client/node/node_test_fixture.h"

// Tenants that nobody named, but somebody asks for.

namespace signum::client {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

class GuestsTest : public NodeTest {
 protected:
  void StartWithGuests(size_t most, milliseconds idle = std::chrono::hours{1}) {
    NodeOptions options = Options();
    options.max_guests = most;
    options.guest_idle = idle;
    StartNode(options);
    ASSERT_TRUE(Eventually([&] { return node_->NotReadyBecause().empty(); }));
  }
  LiveModel PublishOf(const std::string& tenant, const std::string& model, uint64_t version,
                      char fill) {
    return registry_.Publish(tenant, model, version, fill, dir_ / "scratch");
  }
  // Asks as a request does: until there is a lease, or an error.
  Result<Lease> Ask(const std::string& tenant, const std::string& model) {
    Result<Lease> out = Fail(Errc::kInternal, "waited", "in vain");
    Eventually([&] {
      Result<std::optional<Lease>> found = node_->Find(tenant, model);
      if (found && !*found) return false;
      out = found ? Result<Lease>(std::move(**found)) : Result<Lease>(found.error());
      return true;
    });
    return out;
  }
  json Guests() { return node_->ResidencyDocument()["guests"]; }
};

TEST_F(GuestsTest, AModelIsFetchedWhenItIsFirstAskedForAndNoOther) {
  Publish(1, 'a');
  const LiveModel draw = PublishOf("other", "draw", 1, 'd');
  PublishOf("other", "idle", 1, 'i');
  StartWithGuests(4);
  EXPECT_FALSE(node_->residency().Serves("other", "draw"));
  const auto lease = Ask("other", "draw");
  ASSERT_THAT(lease, Ok());
  EXPECT_EQ((*lease)->live.digest, draw.digest);
  EXPECT_EQ(Guests(), json({"other"}));
  EXPECT_EQ(registry_.delta_requests(), 2);
  ASSERT_EQ(Pending().size(), 1u);
  EXPECT_EQ(Pending()[0]["model"], "idle");
  EXPECT_EQ(Pending()[0]["state"], "listed");
  EXPECT_EQ(node_->NotReadyBecause(), "");
  EXPECT_EQ(node_->ModelsDocument()["data"].size(), 3u);
  EXPECT_THAT(Ask("other", "idle"), Ok());
}

TEST_F(GuestsTest, AGuestsChangesAreFollowed) {
  Publish(1, 'a');
  PublishOf("other", "draw", 1, 'd');
  PublishOf("other", "idle", 1, 'i');
  StartWithGuests(4);
  ASSERT_THAT(Ask("other", "draw"), Ok());
  PublishOf("other", "idle", 2, 'j');  // nobody has asked for it
  PublishOf("other", "draw", 2, 'e');
  EXPECT_TRUE(Eventually([&] {
    const auto lease = node_->residency().Acquire("other", "draw");
    return lease && (*lease)->live.version == 2;
  }));
  EXPECT_FALSE(node_->residency().Serves("other", "idle"));
  EXPECT_EQ(Ask("other", "idle").value()->live.version, 2u);
  Publish(2, 'b');  // those that are named are followed as before
  EXPECT_TRUE(Serves('b'));
  registry_.Remove("other", "draw");
  EXPECT_TRUE(Eventually([&] { return !node_->residency().Serves("other", "draw"); }));
}

TEST_F(GuestsTest, WhatTheRegistryDoesNotShowIsUnknownAndNotAskedForAtOnceAgain) {
  Publish(1, 'a');
  registry_.RefuseLive("secret", 404, 0);
  StartWithGuests(4);
  const int lists = registry_.live_lists();
  EXPECT_THAT(Ask("secret", "chat"), FailsWith(Errc::kNotFound, "unknown_model", "secret"));
  EXPECT_THAT(Ask("nobody", "chat"), FailsWith(Errc::kNotFound, "unknown_model", "nobody/chat"));
  for (int i = 0; i < 10; ++i) {
    EXPECT_THAT(node_->Find("secret", "x"), FailsWith(Errc::kNotFound, "unknown_model", "secret"));
    EXPECT_THAT(node_->Find("nobody", "y"), FailsWith(Errc::kNotFound, "unknown_model", "nobody"));
  }
  EXPECT_EQ(registry_.live_lists(), lists + 1);  // nobody's, which is empty; secret's was refused
  EXPECT_TRUE(Guests().empty());
  EXPECT_THAT(node_->Find("Not A Name", "x"), FailsWith(Errc::kNotFound, "unknown_model", "Not A"));
}

TEST_F(GuestsTest, NoTenantJoinsWhereNoneMay) {
  Publish(1, 'a');
  PublishOf("other", "draw", 1, 'd');
  StartWithGuests(0);
  EXPECT_THAT(Ask("other", "draw"), FailsWith(Errc::kNotFound, "unknown_model", "other"));
}

TEST_F(GuestsTest, TheLongestUnusedMakesPlaceForTheNext) {
  Publish(1, 'a');
  for (const char* tenant : {"t1", "t2", "t3"}) PublishOf(tenant, "draw", 1, tenant[1]);
  StartWithGuests(2);
  ASSERT_THAT(Ask("t1", "draw"), Ok());
  ASSERT_THAT(Ask("t2", "draw"), Ok());
  ASSERT_THAT(Ask("t1", "draw"), Ok());
  ASSERT_THAT(Ask("t3", "draw"), Ok());
  EXPECT_EQ(Guests(), json({"t1", "t3"}));
  EXPECT_FALSE(node_->residency().Serves("t2", "draw"));
  EXPECT_THAT(Ask("t2", "draw"), Ok());  // from the cache
  EXPECT_EQ(registry_.delta_requests(), 4);
}

TEST_F(GuestsTest, WhoIsAwaitedKeepsItsPlace) {
  Publish(1, 'a');
  PublishOf("t1", "draw", 1, 'd');
  PublishOf("t2", "draw", 1, 'e');
  StartWithGuests(1);
  ASSERT_TRUE(Serves('a'));
  for (int i = 0; i < 300; ++i) {
    registry_.Break([](const http::Request&, const std::string&) {
      http::Response response = http::Json(503, R"({"code":"busy"})");
      response.Set("Retry-After", "1");
      return response;
    });
  }
  ASSERT_TRUE(
      Eventually([&] { return node_->Find("t1", "draw").has_value() && Guests().size() == 1; }));
  ASSERT_TRUE(Eventually([&] {
    const auto found = node_->Find("t1", "draw");
    return registry_.delta_requests() > 1;
  }));
  EXPECT_THAT(Ask("t2", "draw"), FailsWith(Errc::kUnavailable, "guests_full", "all 1 places"));
  registry_.Mend();
  EXPECT_THAT(Ask("t1", "draw"), Ok());
  EXPECT_TRUE(Eventually([&] { return Ask("t2", "draw").has_value(); }));
}

TEST_F(GuestsTest, AGuestThatNobodyUsesLeaves) {
  Publish(1, 'a');
  PublishOf("other", "draw", 1, 'd');
  StartWithGuests(2, milliseconds{300});
  auto lease = Ask("other", "draw");
  ASSERT_THAT(lease, Ok());
  ASSERT_TRUE(Eventually([&] { return Guests().empty(); }));
  EXPECT_FALSE(node_->residency().Serves("other", "draw"));
  EXPECT_EQ((*lease)->live.version, 1u);  // who reads it still does
  lease->Release();
  EXPECT_THAT(Ask("other", "draw"), Ok());
}

TEST_F(GuestsTest, AGuestThatIsNoLongerShownLeavesAndTheOthersStay) {
  Publish(1, 'a');
  PublishOf("other", "draw", 1, 'd');
  StartWithGuests(2);
  ASSERT_THAT(Ask("other", "draw"), Ok());
  registry_.RefuseLive("other", 404, 0);
  registry_.ForgetFeed();  // so that the lists are read again
  ASSERT_TRUE(Eventually([&] { return Guests().empty(); }));
  Publish(2, 'b');
  EXPECT_TRUE(Serves('b'));
}

TEST_F(GuestsTest, WithoutARegistryTheUnknownIsUnavailableRatherThanUnknown) {
  Publish(1, 'a');
  StartWithGuests(2);
  ASSERT_TRUE(Serves('a'));
  registry_.Stop();
  EXPECT_THAT(Ask("other", "draw"), FailsWith(Errc::kUnavailable, "registry_away", "other"));
  EXPECT_THAT(Ask("acme", "nothing"), FailsWith(Errc::kNotFound, "unknown_model", "acme/nothing"));
  EXPECT_EQ(Weight(), 'a');
  registry_.Start(registry_.port());
  PublishOf("other", "draw", 1, 'd');
  EXPECT_TRUE(Eventually([&] { return Ask("other", "draw").has_value(); }));
}

}  // namespace
}  // namespace signum::client
