#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "server/openapi.h"
#include "tests/server/api_b/support.h"
#include "tests/server/fixture.h"

namespace signum::test {
namespace {

using nlohmann::json;

class OperationApi : public testing::Test {
 protected:
  Service service_{NoWorker()};
  Client nobody_{service_.port(), ""};
};

TEST_F(OperationApi, HealthyAndReady) {
  EXPECT_EQ(nobody_.Get("/healthz").Json()["status"], "ok");
  EXPECT_EQ(nobody_.Get("/readyz").Json()["status"], "ready");
}

TEST_F(OperationApi, NotReadyWhileStopping) {
  service_.app().draining = true;
  const Reply reply = nobody_.Get("/readyz");
  EXPECT_EQ(reply.status, 503);
  EXPECT_EQ(reply.Code(), "draining");
  EXPECT_FALSE(reply.Header("retry-after").empty());
  EXPECT_EQ(nobody_.Get("/healthz").status, 200);
}

TEST_F(OperationApi, MetricsCountRequestsByRoute) {
  for (int i = 0; i < 3; ++i) service_.admin().Get("/v1/tenants/t" + std::to_string(i) + "/live");
  nobody_.Get("/nowhere");
  QueueVersion(service_.app(), "acme", "chat");
  const Reply reply = service_.admin().Get("/metrics");
  ASSERT_EQ(reply.status, 200);
  EXPECT_EQ(reply.Header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  const auto has = [&](const std::string& line) {
    return ("\n" + reply.body).find("\n" + line) != std::string::npos;
  };
  EXPECT_TRUE(
      has("signum_http_requests_total{method=\"GET\",route=\"/v1/tenants/{tenant}/live\","
          "status=\"200\"} 3"))
      << reply.body;
  EXPECT_TRUE(
      has("signum_http_requests_total{method=\"GET\",route=\"unmatched\",status=\"404\"} 1"));
  EXPECT_TRUE(has("signum_jobs{state=\"queued\"} 1"));
  EXPECT_TRUE(has("signum_jobs{state=\"running\"} 0"));
  EXPECT_TRUE(has("signum_feed_seq 0"));
  EXPECT_TRUE(has("signum_watchers 0"));
  EXPECT_TRUE(has("signum_uploads 0"));
  EXPECT_TRUE(has("signum_refusals_total{reason=\"quota_exceeded\"} 0"));
  EXPECT_TRUE(has("signum_disk_free_bytes "));
  EXPECT_TRUE(has("signum_disk_kept_bytes 67108864"));
  EXPECT_TRUE(has("signum_read_only 0"));
  EXPECT_TRUE(has("signum_store_bytes{kind=\"metadata\"}"));
  EXPECT_TRUE(has("signum_http_bytes_total{direction=\"out\"}"));
  EXPECT_TRUE(has("# TYPE signum_http_request_seconds histogram"));
  EXPECT_EQ(reply.body.find("t1/live"), std::string::npos) << "a path became a label";
}

TEST_F(OperationApi, MetricsDoNotGrowWithMethodsThatNobodyKnows) {
  nobody_.Call("BREW", "/v1/bases");
  const std::string text = service_.admin().Get("/metrics").body;
  EXPECT_EQ(text.find("BREW"), std::string::npos);
}

TEST_F(OperationApi, DocumentNamesEveryRouteAndNoOther) {
  http::Router router;
  AddAllRoutes(router, service_.app());
  std::set<std::string> routes, documented;
  for (const auto& route : router.routes()) routes.insert(route.method + " " + route.pattern);
  for (const Operation& operation : Operations()) {
    documented.insert(std::string(operation.method) + " " + std::string(operation.pattern));
  }
  EXPECT_EQ(documented, routes);
}

// Every "$ref" of `value` names something in the document.
void CheckReferences(const json& document, const json& value) {
  if (value.is_object() && value.contains("$ref")) {
    const std::string reference = value["$ref"];
    EXPECT_TRUE(document.contains(json::json_pointer(reference.substr(1)))) << reference;
  }
  if (!value.is_structured()) return;
  for (const json& child : value) CheckReferences(document, child);
}

TEST_F(OperationApi, DocumentIsWhole) {
  const json document = nobody_.Get("/openapi.json").Json();
  EXPECT_EQ(document["openapi"], "3.1.0");
  CheckReferences(document, document);
  std::set<std::string> ids;
  size_t operations = 0;
  for (const auto& [path, methods] : document["paths"].items()) {
    EXPECT_EQ(path.find("..."), std::string::npos) << path;
    for (const auto& [method, operation] : methods.items()) {
      ++operations;
      EXPECT_TRUE(ids.insert(operation["operationId"]).second) << operation["operationId"];
      EXPECT_TRUE(operation["responses"].contains("4XX"));
      EXPECT_FALSE(operation["responses"].contains("500")) << "nobody may count on that";
      const auto named =
          std::count_if(operation["parameters"].begin(), operation["parameters"].end(),
                        [](const json& parameter) { return parameter.value("in", "") == "path"; });
      EXPECT_EQ(named, std::count(path.begin(), path.end(), '{')) << path;
    }
  }
  EXPECT_EQ(operations, Operations().size());
  EXPECT_TRUE(document["paths"]["/healthz"]["get"]["security"].empty());
}

TEST_F(OperationApi, ListsOfWhatCannotBeAreRefusedAndNotEmpty) {
  const std::string tenants = "/v1/tenants/";
  for (const auto* path : {"no,name/models", "acme/models/no,name/versions",
                           "no,name/models/chat/versions", "acme/models/no,name/aliases"}) {
    EXPECT_EQ(service_.admin().Get(tenants + path).Code(), "bad_name") << path;
  }
  EXPECT_EQ(service_.admin().Get("/v1/audit/log?after=9007199254740991").status, 200);
  EXPECT_EQ(service_.admin().Get("/v1/audit/log?after=9007199254740992").Code(), "bad_query");
}

// What the answers really hold is in the schemas: required members are there.
TEST_F(OperationApi, AnswersHaveWhatTheirSchemasRequire) {
  ReadyVersion(service_.app(), "acme", "chat");
  const json document = nobody_.Get("/openapi.json").Json();
  const auto check = [&](const std::string& schema, const json& value) {
    for (const json& name : document["components"]["schemas"][schema]["required"]) {
      EXPECT_TRUE(value.contains(name)) << schema << " lacks " << name;
    }
  };
  const Client& admin = service_.admin();
  check("Alias", admin.Get("/v1/tenants/acme/models/chat/aliases/live").Json());
  check("Live", admin.Get("/v1/tenants/acme/live").Json());
  check("LiveModel", admin.Get("/v1/tenants/acme/live").Json()["models"][0]);
  check("Changes", admin.Get("/v1/watch?tenant=acme&wait=0").Json());
  check("JobList", admin.Get("/v1/jobs").Json());
  check("Job", admin.Get("/v1/jobs").Json()["jobs"][0]);
  check("ModelList", admin.Get("/v1/tenants/acme/models").Json());
  check("Model", admin.Get("/v1/tenants/acme/models/chat").Json());
  check("TenantList", admin.Get("/v1/tenants").Json());
  check("Token", admin.Get("/v1/admin/tokens").Json()["tokens"][0]);
  check("Log", admin.Get("/v1/audit/log").Json());
  check("TenantSettings", admin.Get("/v1/admin/tenants/acme").Json());
  check("Usage", admin.Get("/v1/admin/tenants/acme").Json()["usage"]);
  check("Mode", admin.Get("/v1/admin/mode").Json());
  check("Savings", admin.Get("/v1/audit/savings").Json());
  check("SavingsRow", admin.Get("/v1/audit/savings").Json()["totals"]);
  check("Problem", admin.Get("/nowhere").Json());
  check("Version", admin.Get("/v1/tenants/acme/models/chat/versions/1").Json());
}

TEST_F(OperationApi, ModelsAndTenantsAreListed) {
  ReadyVersion(service_.app(), "acme", "chat");
  QueueVersion(service_.app(), "acme", "chat");
  ReadyVersion(service_.app(), "globex", "draw");
  EXPECT_EQ(service_.admin().Get("/v1/tenants").Json()["tenants"], json({"acme", "globex"}));
  const Client publisher = service_.As(Role::kPublisher, {"acme"});
  EXPECT_EQ(publisher.Get("/v1/tenants").Json()["tenants"], json({"acme"}));
  const json models = publisher.Get("/v1/tenants/acme/models").Json()["models"];
  ASSERT_EQ(models.size(), 1u);
  EXPECT_EQ(models[0]["versions"], 2);
  EXPECT_EQ(publisher.Get("/v1/tenants/acme/models/none").Code(), "unknown_model");
}

TEST_F(OperationApi, AdminPageRunsOnlyWhatItCarries) {
  const Reply page = nobody_.Get("/");
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.Header("content-type"), "text/html; charset=utf-8");
  const std::string policy = page.Header("content-security-policy");
  EXPECT_NE(policy.find("default-src 'none'"), std::string::npos);
  EXPECT_EQ(policy.find("unsafe"), std::string::npos);
  const size_t begin = page.body.find("<script>") + 8;
  const std::string script = page.body.substr(begin, page.body.find("</script>") - begin);
  const std::string hash = Base64Encode(Sha256::Of(AsBytes(script)).bytes);
  EXPECT_NE(policy.find("script-src 'sha256-" + hash + "'"), std::string::npos) << policy;
  EXPECT_EQ(page.body.find("http://"), std::string::npos) << "an external resource";
  EXPECT_EQ(page.body.find("https://"), std::string::npos);
  EXPECT_EQ(page.body.find("innerHTML"), std::string::npos) << "text of others must stay text";
}

}  // namespace
}  // namespace signum::test
