#include <gtest/gtest.h>

#include "tests/server/api_b/support.h"
#include "tests/server/fixture.h"

namespace signum::test {
namespace {

const std::string kTokens = "/v1/admin/tokens";

class Tokens : public testing::Test {
 protected:
  ManualClock clock_;
  Service service_{NoWorker(true, &clock_)};
  const Client& admin_ = service_.admin();
};

TEST_F(Tokens, ATokenWorksUntilItIsRevoked) {
  const Reply made =
      admin_.Post(kTokens, {{"role", "publisher"}, {"tenant", "acme"}, {"note", "ci"}});
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(made.Json()["tenants"], nlohmann::json({"acme"}));
  EXPECT_EQ(made.Json()["note"], "ci");
  const Client client(service_.port(), made.Json()["token"]);
  EXPECT_EQ(client.Get("/v1/tenants/acme/live").status, 200);
  const std::string one = kTokens + "/" + made.Json()["id"].get<std::string>();
  EXPECT_EQ(admin_.Delete(one).status, 204);
  EXPECT_EQ(client.Get("/v1/tenants/acme/live").Code(), "bad_token");
  EXPECT_EQ(admin_.Delete(one).status, 404);
}

TEST_F(Tokens, ATokenExpires) {
  const Reply made = admin_.Post(
      kTokens, {{"role", "auditor"}, {"expires", FormatTime(clock_.Now() + 3'600'000'000)}});
  ASSERT_EQ(made.status, 201) << made.body;
  const Client client(service_.port(), made.Json()["token"]);
  EXPECT_EQ(client.Get("/v1/audit/log").status, 200);
  clock_.Advance(std::chrono::hours(2));
  EXPECT_EQ(client.Get("/v1/audit/log").status, 401);
}

TEST_F(Tokens, ListsShowNoSecret) {
  const Reply made = admin_.Post(kTokens, {{"role", "node"}, {"tenants", {"acme", "globex"}}});
  const std::string secret = made.Json()["token"];
  const Reply list = admin_.Get(kTokens);
  EXPECT_EQ(list.Json()["tokens"].size(), 2u);  // the fixture's admin as well
  EXPECT_EQ(list.body.find(secret), std::string::npos);
  EXPECT_EQ(list.body.find("sgn_"), std::string::npos);
  const auto page = admin_.Get(kTokens + "?limit=1").Json();
  const auto rest = admin_.Get(kTokens + "?after=" + page["next"].get<std::string>()).Json();
  EXPECT_EQ(rest["tokens"].size(), 1u);
  EXPECT_NE(rest["tokens"][0]["id"], page["tokens"][0]["id"]);
}

TEST_F(Tokens, RepeatedCreationMakesOneAndKeepsTheSecretSecret) {
  const HeaderList key = {{"Idempotency-Key", "make-1"}};
  const nlohmann::json body = {{"role", "auditor"}};
  const Reply first = admin_.Post(kTokens, body, key);
  const Reply again = admin_.Post(kTokens, body, key);
  EXPECT_EQ(again.status, 201);
  EXPECT_EQ(again.Json()["id"], first.Json()["id"]);
  EXPECT_TRUE(again.Json()["token"].is_null());
  EXPECT_EQ(admin_.Get(kTokens).Json()["tokens"].size(), 2u);
}

TEST_F(Tokens, RolesDecideAboutTenants) {
  const auto code = [&](const nlohmann::json& body) { return admin_.Post(kTokens, body).Code(); };
  EXPECT_EQ(code({{"role", "publisher"}}), "bad_field");
  EXPECT_EQ(code({{"role", "publisher"}, {"tenants", {"a", "b"}}}), "bad_field");
  EXPECT_EQ(code({{"role", "node"}}), "bad_field");
  EXPECT_EQ(code({{"role", "admin"}, {"tenant", "a"}}), "bad_field");
  EXPECT_EQ(code({{"role", "king"}}), "bad_field");
  EXPECT_EQ(code({{"role", "node"}, {"tenant", "../x"}}), "bad_name");
  EXPECT_EQ(code({{"role", "auditor"}, {"expires", "tomorrow"}}), "bad_field");
  EXPECT_EQ(code({{"role", "auditor"}, {"expires", "2001-01-01T00:00:00Z"}}), "bad_field");
  EXPECT_EQ(code({{"role", "auditor"}, {"tenat", "a"}}), "unknown_field");
  EXPECT_EQ(code(nlohmann::json::object()), "missing_field");
}

TEST_F(Tokens, KeysAreOpenAndVerifyOurSignatures) {
  const auto keys = Client(service_.port(), "").Get("/v1/keys").Json()["keys"];
  ASSERT_EQ(keys.size(), 1u);
  EXPECT_EQ(keys[0]["alg"], "ed25519");
  const PublicKey key = PublicKey::FromBase64(keys[0]["public"].get<std::string>()).value();
  EXPECT_EQ(key.Id(), keys[0]["id"]);
  EXPECT_TRUE(key.Verify("text", service_.app().keys.Current()->Sign("text")));
}

TEST_F(Tokens, ARotatedKeyIsListedBesideTheOld) {
  const auto before = admin_.Get("/v1/keys").Json()["keys"][0];
  const Reply rotated = admin_.Call("POST", "/v1/admin/keys/rotate");
  ASSERT_EQ(rotated.status, 201) << rotated.body;
  const auto keys = admin_.Get("/v1/keys").Json()["keys"];
  ASSERT_EQ(keys.size(), 2u);
  EXPECT_EQ(keys[0], rotated.Json());
  EXPECT_EQ(keys[0]["endorsed_by"], before["id"]);
  EXPECT_TRUE(keys[0]["retired"].is_null());
  EXPECT_EQ(keys[1]["public"], before["public"]);
  EXPECT_TRUE(keys[1]["retired"].is_string());
}

TEST_F(Tokens, ARotatedTokenHasTheRightsOfTheOld) {
  const auto old = admin_.Post(kTokens, {{"role", "node"}, {"tenant", "acme"}}).Json();
  const std::string path = kTokens + "/" + old["id"].get<std::string>() + "/rotate";
  EXPECT_EQ(admin_.Post(path, {{"grace_seconds", 99'999'999}}).Code(), "bad_field");
  const Reply rotated = admin_.Call("POST", path);
  ASSERT_EQ(rotated.status, 201) << rotated.body;
  EXPECT_EQ(rotated.Json()["tenants"], old["tenants"]);
  const Client with_old(service_.port(), old["token"]);
  EXPECT_EQ(with_old.Get("/v1/tenants/acme/live").status, 401);
  const Client with_new(service_.port(), rotated.Json()["token"]);
  EXPECT_EQ(with_new.Get("/v1/tenants/acme/live").status, 200);
  EXPECT_EQ(with_new.Call("POST", path).status, 403);
  EXPECT_EQ(admin_.Call("POST", path).status, 404);
}

TEST(ParseTime, ReadsRfc3339AndNothingElse) {
  EXPECT_EQ(ParseTime("1970-01-01T00:00:01Z"), 1'000'000);
  EXPECT_EQ(ParseTime("1970-01-01T01:00:00.25+01:00"), 250'000);
  EXPECT_EQ(ParseTime("2026-11-23t16:44:01.000123z"),
            ParseTime("2026-11-23T11:44:01.000123-05:00"));
  EXPECT_EQ(FormatTime(*ParseTime("2026-11-23T16:44:01.000123Z")), "2026-11-23T16:44:01.000123Z");
  for (const char* bad :
       {"", "now", "2026-11-23", "2026-11-23T16:44", "2026-11-23T16:44:01", "2026-02-30T00:00:00Z",
        "2026-11-23T24:00:00Z", "2026-11-23T16:44:01.Z", "2026-11-23T16:44:01+1:00",
        "-026-11-23T16:44:01Z", "2026-11-23T16:44:01Zx", "2026-11-23T16:44:+1Z"}) {
    EXPECT_FALSE(ParseTime(bad)) << bad;
  }
}

}  // namespace
}  // namespace signum::test
