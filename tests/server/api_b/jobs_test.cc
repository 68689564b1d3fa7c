#include <gtest/gtest.h>

#include <set>

#include "server/job_counts.h"
#include "tests/server/api_b/support.h"
#include "tests/server/fixture.h"

namespace signum::test {
namespace {

class Jobs : public testing::Test {
 protected:
  Service service_{NoWorker()};
  Client acme_ = service_.As(Role::kPublisher, {"acme"});
};

TEST_F(Jobs, AJobTellsHowFarItIs) {
  const VersionRecord version = QueueVersion(service_.app(), "acme", "chat");
  const auto queued = acme_.Get("/v1/jobs/" + version.job).Json();
  EXPECT_EQ(queued["state"], "queued");
  EXPECT_EQ(queued["kind"], "compress");
  EXPECT_EQ(queued["tenant"], "acme");
  EXPECT_EQ(queued["model"], "chat");
  EXPECT_EQ(queued["version"], 1);
  EXPECT_TRUE(queued["started"].is_null());
  service_.app().catalog.ClaimJob().value();
  service_.app().catalog.ReportProgress(version.job, "compress", 0.5, 2e9, 3).value();
  const auto running = acme_.Get("/v1/jobs/" + version.job).Json();
  EXPECT_EQ(running["state"], "running");
  EXPECT_EQ(running["phase"], "compress");
  EXPECT_EQ(running["progress"], 0.5);
  EXPECT_EQ(running["rate"], 2e9);
  EXPECT_EQ(running["eta"], 3);
  EXPECT_EQ(running["attempts"], 1);
  EXPECT_TRUE(running["started"].is_string());
}

TEST_F(Jobs, TheTagChangesWithTheJob) {
  const std::string path = "/v1/jobs/" + QueueVersion(service_.app(), "acme", "chat").job;
  const std::string etag = acme_.Get(path).Header("etag");
  EXPECT_TRUE(etag.starts_with('"')) << etag;
  EXPECT_EQ(acme_.Get(path, {{"If-None-Match", etag}}).status, 304);
  acme_.Delete(path);
  EXPECT_EQ(acme_.Get(path, {{"If-None-Match", etag}}).status, 200);
}

TEST_F(Jobs, ListsOnlyTheCallersInPages) {
  std::set<std::string> own;
  for (int i = 0; i < 5; ++i) {
    own.insert(QueueVersion(service_.app(), "acme", "chat").job);
    QueueVersion(service_.app(), "globex", "chat");
  }
  std::set<std::string> seen;
  std::string after;
  int pages = 0;
  do {
    const auto page = acme_.Get("/v1/jobs?limit=2" + after).Json();
    for (const auto& job : page["jobs"]) {
      EXPECT_EQ(job["tenant"], "acme");
      EXPECT_TRUE(seen.insert(job["id"]).second) << "listed twice";
    }
    after = page["next"].is_null() ? "" : "&after=" + page["next"].get<std::string>();
  } while (!after.empty() && ++pages < 20);
  EXPECT_EQ(seen, own);
  EXPECT_EQ(service_.admin().Get("/v1/jobs").Json()["jobs"].size(), 10u);
  EXPECT_EQ(service_.admin().Get("/v1/jobs?tenant=globex").Json()["jobs"].size(), 5u);
  EXPECT_EQ(service_.admin().Get("/v1/jobs?state=running").Json()["jobs"].size(), 0u);
  EXPECT_EQ(acme_.Get("/v1/jobs?tenant=globex").status, 403);
}

TEST_F(Jobs, AFilterThatCannotBeIsRefused) {
  QueueVersion(service_.app(), "acme", "chat");
  for (const auto* filter : {"tenant=", "model=", "state=", "tenant=UPPER", "state=ready"}) {
    const Reply reply = service_.admin().Get("/v1/jobs?" + std::string(filter));
    EXPECT_EQ(reply.status, 400) << filter << ", and not all jobs";
  }
  EXPECT_EQ(service_.admin().Get("/v1/jobs?state=queued").Json()["jobs"].size(), 1u);
}

TEST_F(Jobs, ForeignJobsAreUnknown) {
  const std::string id = QueueVersion(service_.app(), "globex", "chat").job;
  for (const char* part : {"", "/events"}) {
    const std::string path = "/v1/jobs/" + id + part;
    EXPECT_EQ(acme_.Get(path).status, 404) << path;
    EXPECT_EQ(acme_.Get(path).Code(), "unknown_job");
  }
  EXPECT_EQ(acme_.Delete("/v1/jobs/" + id).status, 404);
  EXPECT_EQ(service_.app().catalog.GetJob(id).value().state, JobState::kQueued);
}

TEST_F(Jobs, CancelOfAQueuedJobEndsItAtOnce) {
  const VersionRecord version = QueueVersion(service_.app(), "acme", "chat");
  const Reply reply = acme_.Delete("/v1/jobs/" + version.job);
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.Json()["state"], "cancelled");
  EXPECT_EQ(acme_.Delete("/v1/jobs/" + version.job).status, 409);
  EXPECT_EQ(acme_.Delete("/v1/jobs/" + version.job).Code(), "job_finished");
}

TEST_F(Jobs, CancelOfARunningJobIsARequest) {
  const VersionRecord version = QueueVersion(service_.app(), "acme", "chat");
  service_.app().catalog.ClaimJob().value();
  const Reply reply = acme_.Delete("/v1/jobs/" + version.job);
  EXPECT_EQ(reply.status, 202);
  EXPECT_EQ(reply.Json()["cancel_requested"], true);
}

TEST_F(Jobs, NodesMayLookButNotCancel) {
  const VersionRecord version = QueueVersion(service_.app(), "acme", "chat");
  const Client node = service_.As(Role::kNode, {"acme"});
  EXPECT_EQ(node.Get("/v1/jobs/" + version.job).status, 200);
  EXPECT_EQ(node.Delete("/v1/jobs/" + version.job).Code(), "role_required");
}

TEST_F(Jobs, EventsFollowAJobToItsEnd) {
  const VersionRecord version = QueueVersion(service_.app(), "acme", "chat");
  Connection connection(service_.port());
  connection.Send(acme_.Head("GET", "/v1/jobs/" + version.job + "/events", {}, 0));
  const std::string first = connection.ReadUntil("\n\n");
  EXPECT_NE(first.find("text/event-stream"), std::string::npos);
  const std::string queued =
      first.find("queued") != std::string::npos
          ? first
          : connection.ReadUntil("\n\n");  // the head ended with a blank line
  EXPECT_NE(queued.find("event: progress\ndata: {"), std::string::npos) << queued;
  const JobRecord job = service_.app().catalog.ClaimJob().value().value();
  EXPECT_NE(connection.ReadUntil("\"state\":\"running\"").find("event: progress"),
            std::string::npos);
  Finish(service_.app(), job);  // not before: a listener that is slow sees the last state alone
  connection.ReadUntil("event: end\ndata: {");
  const std::string end = connection.ReadUntil("0\r\n\r\n");
  EXPECT_NE(end.find("\"state\":\"done\""), std::string::npos) << end;
}

TEST_F(Jobs, EventsOfAFinishedJobEndAtOnce) {
  const VersionRecord version = ReadyVersion(service_.app(), "acme", "chat");
  const Reply reply = acme_.Get("/v1/jobs/" + version.job + "/events");
  EXPECT_EQ(reply.status, 200);
  EXPECT_NE(reply.body.find("event: end\n"), std::string::npos) << reply.body;
}

TEST_F(Jobs, OfTheStoreAreTheAdmins) {
  const Reply started = service_.admin().Post("/v1/admin/gc", {{"dry_run", true}});
  ASSERT_EQ(started.status, 202) << started.body;
  const std::string path = "/v1/jobs/" + started.Json().value("job", "");
  EXPECT_EQ(acme_.Get(path).status, 404);
  EXPECT_EQ(acme_.Delete(path).status, 404);
  EXPECT_TRUE(acme_.Get("/v1/jobs").Json()["jobs"].empty());
  const auto job = service_.admin().Get(path).Json();
  EXPECT_EQ(job["kind"], "gc");
  EXPECT_TRUE(job["tenant"].is_null() && job["model"].is_null() && job["version"].is_null());
  EXPECT_EQ(job["request"]["dry_run"], true);
  EXPECT_TRUE(job["result"].is_null());
  EXPECT_EQ(service_.admin().Get("/v1/jobs").Json()["jobs"].size(), 1);
  EXPECT_EQ(service_.admin().Delete(path).status, 200);
  EXPECT_EQ(service_.admin().Get(path).Json()["state"], "cancelled");
}

TEST_F(Jobs, CountsFollowEveryChange) {
  App& app = service_.app();
  ReadyVersion(app, "acme", "chat");
  JobCounts counts(app.catalog);
  EXPECT_EQ(counts.Read().value().at("done"), 1u);
  const VersionRecord version = QueueVersion(app, "acme", "chat");
  EXPECT_EQ(counts.Read().value().at("queued"), 1u);
  app.catalog.ClaimJob().value();
  EXPECT_EQ(counts.Read().value().at("queued"), 0u);
  EXPECT_EQ(counts.Read().value().at("running"), 1u);
  EXPECT_EQ(counts.Read().value().at("done"), 1u);
}

}  // namespace
}  // namespace signum::test
