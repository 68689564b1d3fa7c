#include <gtest/gtest.h>

#include <algorithm>

#include "tests/server/api_b/support.h"
#include "tests/server/fixture.h"

namespace signum::test {
namespace {

using nlohmann::json;

const std::string kLive = "/v1/tenants/acme/models/chat/aliases/live";

class AuditLog : public testing::Test {
 protected:
  AuditLog() { ReadyVersion(service_.app(), "acme", "chat"); }
  json Entries(const std::string& query = "") {
    return service_.As(Role::kAuditor).Get("/v1/audit/log" + query).Json()["entries"];
  }

  Service service_{NoWorker()};
  Client publisher_ = service_.As(Role::kPublisher, {"acme"});
};

TEST_F(AuditLog, AChangeSaysWhoDidWhatToWhat) {
  publisher_.Put(kLive, {{"version", 1}}, {{"X-Request-Id", "req-42"}});
  const json entry = Entries().back();
  EXPECT_EQ(entry["action"], "alias.set");
  EXPECT_EQ(entry["target"], "acme/chat@live -> 1");
  EXPECT_EQ(entry["result"], "ok");
  EXPECT_EQ(entry["request_id"], "req-42");
  EXPECT_EQ(entry["from"].get<std::string>().substr(0, 10), "127.0.0.1:");
  EXPECT_FALSE(entry["who"].get<std::string>().empty());
}

TEST_F(AuditLog, ARefusedChangeIsOnRecordToo) {
  const Client foreign = service_.As(Role::kPublisher, {"globex"});
  foreign.Delete(kLive);
  const json entry = Entries().back();
  EXPECT_EQ(entry["action"], "alias.delete");
  EXPECT_EQ(entry["target"], kLive);
  EXPECT_EQ(entry["result"], "not_yours");
}

TEST_F(AuditLog, QuestionsAndRepetitionsAreNoChanges) {
  publisher_.Put(kLive, {{"version", 1}}, {{"Idempotency-Key", "k"}});
  const size_t before = Entries().size();
  publisher_.Put(kLive, {{"version", 1}}, {{"Idempotency-Key", "k"}});
  publisher_.Get(kLive);
  publisher_.Get("/v1/tenants/other/live");
  EXPECT_EQ(Entries().size(), before);
}

// What an auditor can check alone: every hash is that of the other fields, and names the one
// before.
TEST_F(AuditLog, EveryEntryIsChainedToTheOneBefore) {
  for (int i = 0; i < 4; ++i) publisher_.Put(kLive, {{"version", 1}});
  const json entries = Entries();
  ASSERT_EQ(entries.size(), 4u);
  std::string previous = entries[0]["previous"];
  for (json entry : entries) {
    EXPECT_EQ(entry["previous"], previous);
    previous = entry["hash"];
  }
  EXPECT_TRUE(service_.app().accounts.VerifyLog().has_value());
}

TEST_F(AuditLog, PagesFollowOneAnother) {
  for (int i = 0; i < 5; ++i) publisher_.Put(kLive, {{"version", 1}});
  const Client auditor = service_.As(Role::kAuditor);
  const json first = auditor.Get("/v1/audit/log?limit=3").Json();
  ASSERT_EQ(first["entries"].size(), 3u);
  const json rest =
      auditor.Get("/v1/audit/log?limit=3&after=" + first["next"].get<std::string>()).Json();
  ASSERT_EQ(rest["entries"].size(), 2u);
  EXPECT_TRUE(rest["next"].is_null());
  EXPECT_EQ(rest["entries"][0]["seq"], first["entries"][2]["seq"].get<uint64_t>() + 1);
  EXPECT_EQ(auditor.Get("/v1/audit/log?after=x").status, 400);
  EXPECT_EQ(auditor.Get("/v1/audit/log?limit=0").status, 400);
  EXPECT_EQ(auditor.Get("/v1/audit/log?limit=1001").status, 400);
}

TEST_F(AuditLog, NoSecretIsInIt) {
  const Reply made = service_.admin().Post("/v1/admin/tokens", {{"role", "auditor"}});
  EXPECT_EQ(Entries().back()["action"], "token.create");
  EXPECT_EQ(Entries().dump().find(made.Json()["token"].get<std::string>()), std::string::npos);
}

class Savings : public testing::Test {
 protected:
  Savings() {
    for (const char* model : {"chat", "draw"}) ReadyVersion(service_.app(), "acme", model);
    ReadyVersion(service_.app(), "globex", "chat");
  }
  json Get(const std::string& query) { return auditor_.Get("/v1/audit/savings" + query).Json(); }

  Service service_{NoWorker()};
  Client auditor_ = service_.As(Role::kAuditor);
};

TEST_F(Savings, GroupsByWhatIsAskedFor) {
  EXPECT_EQ(Get("")["by"], json({"tenant"}));
  ASSERT_EQ(Get("")["groups"].size(), 2u);
  EXPECT_EQ(Get("")["groups"][0]["tenant"], "acme");
  EXPECT_EQ(Get("")["groups"][0]["versions"], 2);
  const json models = Get("?by=model,tenant");
  ASSERT_EQ(models["groups"].size(), 3u);
  EXPECT_EQ(models["groups"][1]["tenant"], "acme");
  EXPECT_EQ(models["groups"][1]["model"], "draw");
  EXPECT_FALSE(models["groups"][1].contains("base"));
}

TEST_F(Savings, TotalsAreTheSumsOfTheGroups) {
  const json report = Get("?by=base,tenant,model");
  for (const char* part : {"delta", "exact", "base_share", "metadata", "total"}) {
    uint64_t sum = 0;
    for (const json& group : report["groups"]) sum += group["stored"][part].get<uint64_t>();
    EXPECT_EQ(report["totals"]["stored"][part], sum) << part;
  }
  EXPECT_EQ(report["totals"]["versions"], 3);
  const json& stored = report["totals"]["stored"];
  EXPECT_EQ(report["totals"]["saved"].get<int64_t>(),
            report["totals"]["uploaded"].get<int64_t>() - stored["total"].get<int64_t>());
}

TEST_F(Savings, CsvHasALineForEachGroup) {
  const Reply reply = auditor_.Get("/v1/audit/savings?by=tenant,model&format=csv");
  EXPECT_EQ(reply.Header("content-type").substr(0, 8), "text/csv");
  std::vector<std::string> lines;
  for (size_t at = 0, end; (end = reply.body.find("\r\n", at)) != std::string::npos; at = end + 2) {
    lines.push_back(reply.body.substr(at, end - at));
  }
  ASSERT_EQ(lines.size(), 4u) << reply.body;
  EXPECT_EQ(lines[0],
            "tenant,model,versions,uploaded,delta,exact,base_share,metadata,stored,saved,ratio,"
            "delta_ratio");
  EXPECT_EQ(lines[1].substr(0, 12), "acme,chat,1,");
  const auto columns = [](const std::string& line) {
    return std::count(line.begin(), line.end(), ',');
  };
  for (const std::string& line : lines) EXPECT_EQ(columns(line), columns(lines[0])) << line;
  EXPECT_EQ(auditor_.Get("/v1/audit/savings?by=tenant,model", {{"Accept", "text/csv"}}).body,
            reply.body);
}

TEST_F(Savings, RefusesWhatItCannotGroupBy) {
  EXPECT_EQ(auditor_.Get("/v1/audit/savings?by=colour").status, 400);
  EXPECT_EQ(auditor_.Get("/v1/audit/savings?format=xml").status, 400);
}

}  // namespace
}  // namespace signum::test
