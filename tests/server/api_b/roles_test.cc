#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "server/http/router.h"
#include "server/openapi.h"
#include "tests/server/api_b/support.h"
#include "tests/server/fixture.h"

namespace signum::test {
namespace {

// Who calls, in the order of the columns below.
constexpr std::string_view kCallers = "APNUFX";  // admin, publisher and node of acme, auditor,
                                                 // foreign: publisher of globex, no token

// Who may call a route, one letter a caller: 'y' may (whatever else the answer says), 'n' 403, '4'
// 404 (must not learn that it exists), '1' 401. What objects a call names exists or not, so that
// "may" shows as any other status.
struct Row {
  const char* method;
  const char* pattern;
  const char* target;
  const char* may;
};

#define ACME "/v1/tenants/acme/models/chat"
#define MODEL "/v1/tenants/{tenant}/models/{model}"
const Row kRows[] = {
    {"POST", "/v1/uploads", "/v1/uploads", "yynny1"},
    {"OPTIONS", "/v1/uploads", "/v1/uploads", "yyyyyy"},
    {"GET", "/v1/uploads/{id}", "/v1/uploads/$upload", "yynn41"},
    {"OPTIONS", "/v1/uploads/{id}", "/v1/uploads/$upload", "yyyyyy"},
    {"GET", "/v1/uploads/{id}/files/{index}", "/v1/uploads/$upload/files/0", "yynn41"},
    {"PATCH", "/v1/uploads/{id}/files/{index}", "/v1/uploads/$upload/files/0", "yynn41"},
    {"PUT", "/v1/uploads/{id}/files/{index}", "/v1/uploads/$upload/files/0", "yynn41"},
    {"OPTIONS", "/v1/uploads/{id}/files/{index}", "/v1/uploads/$upload/files/0", "yyyyyy"},
    {"DELETE", "/v1/uploads/{id}/files/{index}", "/v1/uploads/$upload/files/0", "yynn41"},
    {"DELETE", "/v1/uploads/{id}", "/v1/uploads/$upload", "yynn41"},
    {"GET", "/v1/bases", "/v1/bases", "yyyny1"},
    {"POST", "/v1/bases/{base}", "/v1/bases/tiny", "ynnnn1"},
    {"GET", "/v1/bases/{base}", "/v1/bases/none", "444n41"},
    {"GET", "/v1/bases/{base}/manifest", "/v1/bases/none/manifest", "444n41"},
    {"GET", "/v1/bases/{base}/files/{path...}", "/v1/bases/none/files/a/b", "444n41"},
    {"GET", "/v1/tenants", "/v1/tenants", "yyyyy1"},
    {"GET", "/v1/tenants/{tenant}/models", "/v1/tenants/acme/models", "yyynn1"},
    {"GET", MODEL, ACME, "yyynn1"},
    {"GET", MODEL "/versions", ACME "/versions", "yyynn1"},
    {"POST", MODEL "/versions", ACME "/versions", "yynnn1"},
    {"GET", MODEL "/versions/{version}", ACME "/versions/1", "yyynn1"},
    {"GET", MODEL "/versions/{version}/delta", ACME "/versions/queued/delta", "444nn1"},
    {"GET", MODEL "/versions/{version}/manifest", ACME "/versions/queued/manifest", "444nn1"},
    {"GET", MODEL "/versions/{version}/checkpoint/{path...}", ACME "/versions/none/checkpoint/a",
     "444nn1"},
    {"DELETE", MODEL "/versions/{version}", ACME "/versions/1", "yynnn1"},
    {"GET", "/v1/blobs/{digest}",
     "/v1/blobs/sha256:0000000000000000000000000000000000000000000000000000000000000000", "444441"},
    {"GET", MODEL "/aliases", ACME "/aliases", "yyynn1"},
    {"GET", MODEL "/aliases/{alias}", ACME "/aliases/live", "yyynn1"},
    {"PUT", MODEL "/aliases/{alias}", ACME "/aliases/live", "yynnn1"},
    {"DELETE", MODEL "/aliases/{alias}", ACME "/aliases/other", "44nnn1"},
    {"GET", "/v1/tenants/{tenant}/live", "/v1/tenants/acme/live", "yyynn1"},
    {"GET", "/v1/watch", "/v1/watch?tenant=acme&wait=0", "yyynn1"},
    {"PUT", "/v1/nodes/{node}", "/v1/nodes/n1", "ynynn1"},
    {"GET", "/v1/nodes", "/v1/nodes", "yyyyy1"},
    {"GET", "/v1/jobs", "/v1/jobs", "yyyny1"},
    {"GET", "/v1/jobs/{id}", "/v1/jobs/$job", "yyy441"},
    {"GET", "/v1/jobs/{id}/events", "/v1/jobs/$job/events", "yyy441"},
    {"DELETE", "/v1/jobs/{id}", "/v1/jobs/$job", "yyn441"},
    {"GET", "/v1/audit/savings", "/v1/audit/savings", "ynnyn1"},
    {"GET", "/v1/audit/log", "/v1/audit/log", "ynnyn1"},
    {"POST", "/v1/admin/tokens", "/v1/admin/tokens", "ynnnn1"},
    {"GET", "/v1/admin/tokens", "/v1/admin/tokens", "ynnnn1"},
    {"DELETE", "/v1/admin/tokens/{id}", "/v1/admin/tokens/none", "4nnnn1"},
    {"POST", "/v1/admin/tokens/{id}/rotate", "/v1/admin/tokens/none/rotate", "4nnnn1"},
    {"POST", "/v1/admin/keys/rotate", "/v1/admin/keys/rotate", "ynnnn1"},
    {"GET", "/v1/admin/tenants/{tenant}", "/v1/admin/tenants/acme", "ynnnn1"},
    {"PUT", "/v1/admin/tenants/{tenant}", "/v1/admin/tenants/acme", "ynnnn1"},
    {"GET", "/v1/admin/mode", "/v1/admin/mode", "ynnnn1"},
    {"PUT", "/v1/admin/mode", "/v1/admin/mode", "ynnnn1"},
    {"POST", "/v1/admin/gc", "/v1/admin/gc", "ynnnn1"},
    {"POST", "/v1/admin/scrub", "/v1/admin/scrub", "ynnnn1"},
    {"POST", "/v1/admin/backup", "/v1/admin/backup", "ynnnn1"},
    {"GET", "/v1/admin/backups", "/v1/admin/backups", "ynnnn1"},
    {"GET", "/v1/keys", "/v1/keys", "yyyyyy"},
    {"GET", "/healthz", "/healthz", "yyyyyy"},
    {"GET", "/readyz", "/readyz", "yyyyyy"},
    {"GET", "/metrics", "/metrics", "ynnyn1"},
    {"GET", "/openapi.json", "/openapi.json", "yyyyyy"},
    {"GET", "/", "/", "yyyyyy"},
};
#undef MODEL
#undef ACME

std::string NameOf(std::string_view method, std::string_view pattern) {
  return std::string(method) + " " + std::string(pattern);
}

// "y", "n", "4" or "1" of an answer, as the rows have it.
char Verdict(const Reply& reply) {
  switch (reply.status) {
    case 401:
      return '1';
    case 403:
      return 'n';
    case 404:
      return '4';
    default:
      return 'y';
  }
}

class Roles : public testing::Test {
 protected:
  Roles() {
    ReadyVersion(service_.app(), "acme", "chat");
    clients_.emplace('A', service_.admin());
    clients_.emplace('P', service_.As(Role::kPublisher, {"acme"}));
    clients_.emplace('N', service_.As(Role::kNode, {"acme"}));
    clients_.emplace('U', service_.As(Role::kAuditor));
    clients_.emplace('F', service_.As(Role::kPublisher, {"globex"}));
    clients_.emplace('X', Client(service_.port(), ""));
  }

  // A target's names of things filled in with things of their own, which belong to acme.
  std::string Fill(std::string target) {
    const auto replace = [&](std::string_view name, auto make) {
      if (const size_t at = target.find(name); at != std::string::npos) {
        target.replace(at, name.size(), make());
      }
    };
    replace("$upload", [&] { return NewUpload(); });
    replace("$job", [&] { return ReadyVersion(service_.app(), "acme", "jobs").job; });
    return target;
  }

  // A request that is right in all but who sends it.
  static Reply Send(const Client& client, std::string_view method, const std::string& target) {
    if (method == "GET") return client.Get(target);
    if (method != "PATCH") return client.Call(method, target, {}, "{}");
    return client.Call(
        method, target,
        {{"Content-Type", "application/offset+octet-stream"}, {"Upload-Offset", "0"}}, "{}");
  }

  std::string NewUpload() {
    const Reply reply =
        clients_.at('P').Post("/v1/uploads", {{"files", {{{"path", "config.json"}, {"size", 2}}}}});
    EXPECT_EQ(reply.status, 201) << reply.body;
    return reply.Json().value("id", "");
  }

  Service service_{NoWorker()};
  std::map<char, Client> clients_;
};

TEST_F(Roles, EveryRouteHasARow) {
  http::Router router;
  AddAllRoutes(router, service_.app());
  std::vector<std::string> routes, rows;
  for (const auto& route : router.routes()) routes.push_back(NameOf(route.method, route.pattern));
  for (const Row& row : kRows) rows.push_back(NameOf(row.method, row.pattern));
  std::sort(routes.begin(), routes.end());
  std::sort(rows.begin(), rows.end());
  EXPECT_EQ(rows, routes);
}

TEST_F(Roles, EachCallerMayWhatTheTableSays) {
  for (const Row& row : kRows) {
    for (size_t i = 0; i < kCallers.size(); ++i) {
      const Client& client = clients_.at(kCallers[i]);
      const std::string target = Fill(row.target);
      const Reply reply = Send(client, row.method, target);
      EXPECT_EQ(Verdict(reply), row.may[i]) << row.method << " " << target << " as " << kCallers[i]
                                            << ": " << reply.status << " " << reply.body;
      EXPECT_EQ(reply.Header("www-authenticate").empty(), reply.status != 401) << target;
    }
  }
}

TEST_F(Roles, ForeignTenantsLookTheSameWhetherTheyExistOrNot) {
  const Client& foreign = clients_.at('F');
  for (const char* tenant : {"acme", "nobody"}) {
    const std::string root = std::string("/v1/tenants/") + tenant;
    for (const char* path : {"/live", "/models", "/models/chat/versions/1"}) {
      const Reply reply = foreign.Get(root + path);
      EXPECT_EQ(reply.status, 403) << root + path;
      EXPECT_EQ(reply.Code(), "not_yours");
    }
  }
}

TEST_F(Roles, OnlyABearerHeaderCounts) {
  const Client& publisher = clients_.at('P');
  const Client nobody(service_.port(), "");
  const std::string live = "/v1/tenants/acme/live";
  const auto status = [&](const std::string& header) {
    return nobody.Get(live, {{"Authorization", header}}).status;
  };
  EXPECT_EQ(status("Bearer " + publisher.token()), 200);
  EXPECT_EQ(status("bearer   " + publisher.token()), 200) << "schemes ignore case";
  EXPECT_EQ(status("Basic " + publisher.token()), 401);
  EXPECT_EQ(status(publisher.token()), 401);
  EXPECT_EQ(status("Bearer "), 401);
  EXPECT_EQ(status("Bearer " + publisher.token() + "x"), 401);
  EXPECT_EQ(nobody.Get(live + "?token=" + publisher.token()).status, 401);
  EXPECT_EQ(nobody.Get(live + "?access_token=" + publisher.token()).status, 401);
}

TEST(NoAuth, EveryoneOnThisMachineIsAnAdmin) {
  Service service(NoWorker(false));
  const Client nobody(service.port(), "");
  EXPECT_EQ(nobody.Get("/v1/admin/tokens").status, 200);
  EXPECT_EQ(nobody.Post("/v1/admin/tokens", {{"role", "auditor"}}).status, 201);
  EXPECT_EQ(nobody.Get("/v1/audit/log").Json()["entries"][0]["who"], "anonymous");
}

TEST(NoAuth, AForeignWebPageIsNoWayIn) {
  Service service(NoWorker(false));
  const Client nobody(service.port(), "");
  const std::string host = "127.0.0.1:" + std::to_string(service.port());
  const auto code = [&](const HeaderList& headers) {
    return nobody.Get("/v1/bases", headers).Code();
  };
  EXPECT_EQ(code({{"Origin", "http://evil.example"}}), "foreign_origin");
  EXPECT_EQ(code({{"Origin", "null"}}), "foreign_origin");
  EXPECT_EQ(code({{"Origin", "http://" + host}}), "");
  const auto under = [&](const std::string& name) {
    Connection connection(service.port());
    connection.Send("GET /v1/bases HTTP/1.1\r\nHost: " + name + "\r\n\r\n");
    return connection.ReadReply().Code();
  };
  EXPECT_EQ(under("rebound.example"), "foreign_origin");
  EXPECT_EQ(under("localhost:" + std::to_string(service.port())), "");
}

}  // namespace
}  // namespace signum::test
