#include <gtest/gtest.h>

#include "tests/server/api_b/support.h"
#include "tests/server/fixture.h"

namespace signum::test {
namespace {

using nlohmann::json;

json ModelReport(const std::string& tenant, uint64_t version, const std::string& state) {
  return {{"tenant", tenant}, {"model", "chat"}, {"version", version}, {"state", state}};
}

json Report(std::vector<json> models) {
  return {{"device", "cpu"},
          {"memory", {{"free", 100}, {"total", 200}}},
          {"models", std::move(models)}};
}

class Nodes : public testing::Test {
 protected:
  Nodes() {
    for (const char* tenant : {"acme", "globex"}) ReadyVersion(service_.app(), tenant, "chat");
  }

  Service service_{NoWorker()};
  Client node_ = service_.As(Role::kNode, {"acme", "globex"});
};

TEST_F(Nodes, AReportComesBackWithWhatItLags) {
  const Reply put = node_.Put("/v1/nodes/n1", Report({ModelReport("acme", 1, "applied")}));
  ASSERT_EQ(put.status, 200) << put.body;
  EXPECT_EQ(put.Json()["node"], "n1");
  EXPECT_EQ(put.Json()["lag"], false);
  EXPECT_EQ(put.Json()["models"][0]["live_version"], 1);
  ReadyVersion(service_.app(), "acme", "chat");
  service_.app().catalog.SetAlias("acme", "chat", "live", 2, {}).value();
  const auto nodes = service_.admin().Get("/v1/nodes").Json()["nodes"];
  ASSERT_EQ(nodes.size(), 1u);
  EXPECT_EQ(nodes[0]["lag"], true);
  EXPECT_EQ(nodes[0]["models"][0]["lag"], true);
  EXPECT_EQ(nodes[0]["models"][0]["live_version"], 2);
  EXPECT_EQ(nodes[0]["device"], "cpu");
  EXPECT_EQ(nodes[0]["memory"]["free"], 100);
}

TEST_F(Nodes, ARefusalSaysWhyAndCountsAsLag) {
  json refused = ModelReport("acme", 1, "refused");
  refused["reason"] = "digest_mismatch";
  node_.Put("/v1/nodes/n1", Report({refused}));
  const auto model = service_.admin().Get("/v1/nodes").Json()["nodes"][0]["models"][0];
  EXPECT_EQ(model["reason"], "digest_mismatch");
  EXPECT_EQ(model["lag"], true);
}

TEST_F(Nodes, PublishersSeeTheirTenantsPart) {
  node_.Put("/v1/nodes/n1",
            Report({ModelReport("acme", 1, "applied"), ModelReport("globex", 1, "applied")}));
  service_.As(Role::kNode, {"globex"})
      .Put("/v1/nodes/n2", Report({ModelReport("globex", 1, "applied")}));
  const auto nodes = service_.As(Role::kPublisher, {"acme"}).Get("/v1/nodes").Json()["nodes"];
  ASSERT_EQ(nodes.size(), 1u);
  EXPECT_EQ(nodes[0]["node"], "n1");
  ASSERT_EQ(nodes[0]["models"].size(), 1u);
  EXPECT_EQ(nodes[0]["models"][0]["tenant"], "acme");
}

TEST_F(Nodes, NobodySpeaksForAnothersNode) {
  ASSERT_EQ(node_.Put("/v1/nodes/n1", Report({})).status, 200);
  const Client other = service_.As(Role::kNode, {"acme"});
  EXPECT_EQ(other.Put("/v1/nodes/n1", Report({})).Code(), "node_taken");
  const auto tokens = service_.app().accounts.ListTokens().value();
  for (const TokenRecord& token : tokens) {
    if (token.tenants.size() == 2) service_.app().accounts.RevokeToken(token.id).value();
  }
  EXPECT_EQ(other.Put("/v1/nodes/n1", Report({})).status, 200) << "its token was replaced";
}

TEST_F(Nodes, ReportsAreChecked) {
  const auto code = [&](const json& report) { return node_.Put("/v1/nodes/n1", report).Code(); };
  EXPECT_EQ(code(Report({ModelReport("initech", 1, "applied")})), "not_yours");
  EXPECT_EQ(code(Report({ModelReport("acme", 1, "happy")})), "bad_field");
  EXPECT_EQ(code(Report({ModelReport("../", 1, "applied")})), "bad_name");
  EXPECT_EQ(code({{"models", 3}}), "bad_field");
  EXPECT_EQ(code({{"device", "cpu"}}), "missing_field");
  EXPECT_EQ(code({{"models", json::array()}, {"memory", {{"free", -1}, {"total", 1}}}}),
            "bad_field");
  EXPECT_EQ(code({{"models", json::array()}, {"device", std::string(2000, 'x')}}), "bad_field");
  EXPECT_EQ(node_.Put("/v1/nodes/UP", Report({})).status, 400);
  EXPECT_TRUE(service_.admin().Get("/v1/nodes").Json()["nodes"].empty()) << "nothing was kept";
}

}  // namespace
}  // namespace signum::test
