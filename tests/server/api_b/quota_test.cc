#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/server/api_b/support.h"
#include "tests/server/fixture.h"
#include "tests/server/models.h"

namespace signum::test {
namespace {

using nlohmann::json;

constexpr const char* kAcme = "/v1/admin/tenants/acme";
constexpr const char* kChat = "/v1/tenants/acme/models/chat";

class QuotaApi : public testing::Test {
 protected:
  explicit QuotaApi(ServiceOptions options = NoWorker()) : service_(std::move(options)) {}

  Reply Set(const json& quota) { return service_.admin().Put(kAcme, {{"quota", quota}}); }
  void MustSet(const json& quota) {
    const Reply reply = Set(quota);
    ASSERT_EQ(reply.status, 200) << reply.body;
  }
  json Usage() { return service_.admin().Get(kAcme).Json()["usage"]; }
  static Reply Declare(const Client& client, uint64_t size) {
    return client.Post("/v1/uploads", {{"files", {{{"path", "a"}, {"size", size}}}}});
  }
  Reply Create(const Client& client, const json& body) {
    return client.Post(std::string(kChat) + "/versions", body);
  }
  json FromUpload(const Client& client, uint32_t seed) {
    return {{"upload", Upload(client, MakeSmall({.seed = seed}))},
            {"base", "small"},
            {"method", "none"}};
  }

  Service service_;
  const Client publisher_ = service_.As(Role::kPublisher, {"acme"});
};

TEST_F(QuotaApi, IsShownSetAndKept) {
  const json nothing = {{"max_bytes", nullptr},
                        {"max_versions", nullptr},
                        {"max_jobs", nullptr},
                        {"requests_per_second", nullptr},
                        {"burst", nullptr}};
  json shown = service_.admin().Get(kAcme).Json();
  EXPECT_EQ(shown["quota"], nothing);
  EXPECT_EQ(shown["in_force"], nothing);
  EXPECT_EQ(shown["usage"], json({{"bytes", 0}, {"versions", 0}, {"jobs", 0}}));
  const json quota = {{"max_bytes", 1000},
                      {"max_versions", 0},
                      {"max_jobs", 2},
                      {"requests_per_second", 2.5},
                      {"burst", 7}};
  MustSet(quota);
  ASSERT_EQ(service_.admin().Put(kAcme, {{"policy", {{"keep_last", 3}}}}).status, 200);
  service_.Restart();
  shown = service_.admin().Get(kAcme).Json();
  EXPECT_EQ(shown["quota"], quota) << "neither a policy nor a restart changes it";
  EXPECT_EQ(shown["policy"]["keep_last"], 3);
  EXPECT_EQ(service_.admin().Get("/v1/admin/tenants/globex").Json()["quota"], nothing);
  MustSet(json::object());
  EXPECT_EQ(service_.admin().Get(kAcme).Json()["quota"], nothing);
}

TEST_F(QuotaApi, WhatIsNoneIsRefusedAndSetsNothing) {
  for (const json& quota :
       {json({{"max_bytes", -1}}), json({{"max_bytes", "10GB"}}), json({{"max_bytes", 1.5}}),
        json({{"max_bytes", 1e300}}), json({{"max_versions", true}}),
        json({{"max_jobs", json::array()}}), json({{"requests_per_second", 0}}),
        json({{"requests_per_second", -3}}), json({{"requests_per_second", "5"}}),
        json({{"requests_per_second", 1e9}}), json({{"burst", 0}}), json({{"max_byte", 5}}),
        json(7), json("none")}) {
    const Reply reply =
        service_.admin().Put(kAcme, {{"policy", {{"keep_last", 5}}}, {"quota", quota}});
    EXPECT_EQ(reply.status, 422) << quota << reply.body;
    EXPECT_NE(reply.body.find("quota"), std::string::npos) << reply.body;
  }
  const json shown = service_.admin().Get(kAcme).Json();
  EXPECT_EQ(shown["quota"]["max_bytes"], nullptr);
  EXPECT_EQ(shown["policy"]["keep_last"], nullptr) << "half of a refused request was done";
}

TEST_F(QuotaApi, IsCompareAndSet) {
  const std::string etag = service_.admin().Get(kAcme).Header("etag");
  const json body = {{"quota", {{"max_jobs", 1}}}};
  EXPECT_EQ(service_.admin().Put(kAcme, body, {{"If-Match", etag}}).status, 200);
  EXPECT_EQ(service_.admin().Put(kAcme, body, {{"If-Match", etag}}).status, 412);
}

TEST_F(QuotaApi, DeclaredBytesCountUntilTheUploadIsGivenUp) {
  MustSet({{"max_bytes", 1000}});
  const Reply first = Declare(publisher_, 600);
  ASSERT_EQ(first.status, 201);
  EXPECT_EQ(Usage()["bytes"], 600) << "before a byte of it is here";
  const Reply refused = Declare(publisher_, 401);
  EXPECT_EQ(refused.status, 507);
  EXPECT_EQ(refused.Code(), "quota_exceeded");
  EXPECT_NE(refused.Json()["detail"].get<std::string>().find("600 of 1000 bytes"),
            std::string::npos);
  EXPECT_EQ(Declare(publisher_, 400).status, 201);
  EXPECT_EQ(Declare(publisher_, 0).status, 201) << "what takes nothing is not refused";
  EXPECT_EQ(Declare(service_.As(Role::kPublisher, {"globex"}), 5000).status, 201);
  EXPECT_EQ(publisher_.Delete("/v1/uploads/" + first.Json()["id"].get<std::string>()).status, 204);
  EXPECT_EQ(Declare(publisher_, 600).status, 201);
  const std::string metrics = service_.admin().Get("/metrics").body;
  EXPECT_NE(metrics.find("signum_refusals_total{reason=\"quota_exceeded\"} 1\n"),
            std::string::npos);
}

TEST_F(QuotaApi, ParallelUploadsCannotPassItTogether) {
  MustSet({{"max_bytes", 1000}});
  std::atomic<int> taken = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 5; ++round) taken += Declare(publisher_, 100).status == 201;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(taken, 10);
  EXPECT_EQ(Usage()["bytes"], 1000);
}

TEST_F(QuotaApi, VersionsAndJobs) {
  CreateBase(service_.admin(), "small", MakeSmall({}));
  MustSet({{"max_versions", 2}, {"max_jobs", 1}});
  const json body = FromUpload(publisher_, 1);
  const uint64_t size = Usage()["bytes"];
  ASSERT_EQ(Create(publisher_, body).status, 202);
  EXPECT_EQ(Usage(), json({{"bytes", size}, {"versions", 1}, {"jobs", 1}}))
      << "an upload counts once, however far its version is";
  const json second = FromUpload(publisher_, 2);
  Reply refused = Create(publisher_, second);
  EXPECT_EQ(refused.status, 429) << refused.body;
  EXPECT_EQ(refused.Code(), "too_many_jobs");
  EXPECT_EQ(refused.Header("retry-after"), "10");
  EXPECT_EQ(Create(service_.admin(), second).Code(), "too_many_jobs") << "admins fill it too";
  FinishQueued(service_.app());
  ASSERT_EQ(Create(publisher_, second).status, 202) << "the upload was left as it was";
  FinishQueued(service_.app());
  refused = Create(publisher_, FromUpload(publisher_, 3));
  EXPECT_EQ(refused.status, 507);
  EXPECT_EQ(refused.Code(), "quota_exceeded");
  EXPECT_EQ(publisher_.Delete(std::string(kChat) + "/versions/2").status, 204);
  EXPECT_EQ(Usage()["versions"], 1);
}

TEST_F(QuotaApi, AnAdminsUploadCountsFromItsVersionOn) {
  CreateBase(service_.admin(), "small", MakeSmall({}));
  const json body = FromUpload(service_.admin(), 1);
  EXPECT_EQ(Usage()["bytes"], 0);
  MustSet({{"max_bytes", 100}});
  EXPECT_EQ(Create(service_.admin(), body).Code(), "quota_exceeded");
  MustSet(json::object());
  ASSERT_EQ(Create(service_.admin(), body).status, 202);
  EXPECT_GT(Usage()["bytes"], 100);
}

class QuotaWithWorker : public QuotaApi {
 protected:
  QuotaWithWorker() : QuotaApi(ServiceOptions{}) {}
};

TEST_F(QuotaWithWorker, BytesAreWhatIsKept) {
  CreateBase(service_.admin(), "small", MakeSmall({}));
  const json kept =
      WaitForVersion(publisher_, Push(publisher_, kChat, "small", MakeSmall({.seed = 1})));
  ASSERT_EQ(kept["state"], "ready") << kept;
  const uint64_t upload = kept["sizes"]["upload"], delta = kept["sizes"]["delta"];
  EXPECT_EQ(Usage(), json({{"bytes", upload + delta}, {"versions", 1}, {"jobs", 0}}));
  const json dropped = WaitForVersion(
      publisher_,
      Push(publisher_, kChat, "small", MakeSmall({.seed = 2}), {{"keep_exact", false}}));
  const uint64_t second = dropped["sizes"]["delta"];
  EXPECT_EQ(Usage()["bytes"], upload + delta + second) << "no exact upload, no bytes of it";
  // Another version of the same upload owns it too: deduplication is not the tenant's matter.
  MustSet({{"max_bytes", upload + delta + second + upload - 1}});
  const json again = {{"from_version", 1}, {"method", "none"}};
  EXPECT_EQ(Create(publisher_, again).Code(), "quota_exceeded");
  MustSet({{"max_bytes", upload + delta + second + upload}});
  EXPECT_EQ(Create(publisher_, again).status, 202);
}

class RequestRate : public QuotaApi {};

TEST_F(RequestRate, IsATenantsAndNotAnAdmins) {
  MustSet({{"requests_per_second", 0.01}, {"burst", 3}});
  const std::string live = "/v1/tenants/acme/live";
  const Client node = service_.As(Role::kNode, {"globex", "acme"});
  EXPECT_EQ(publisher_.Get(live).status, 200);
  EXPECT_EQ(publisher_.Get("/v1/bases").status, 200);
  EXPECT_EQ(node.Get(live).status, 200) << "the tenant of the path";
  const Reply refused = publisher_.Get(live);
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.Code(), "rate_limited");
  const int wait = std::stoi(refused.Header("retry-after"));
  EXPECT_GT(wait, 90);
  EXPECT_LE(wait, 100);
  EXPECT_EQ(node.Get(live).status, 429);
  EXPECT_EQ(node.Get("/v1/bases").status, 200) << "else the token's first";
  EXPECT_EQ(service_.As(Role::kPublisher, {"globex"}).Get(live).status, 403)
      << "who may not read a tenant does not use up its rate";
  EXPECT_EQ(service_.admin().Get(live).status, 200);
  EXPECT_EQ(service_.As(Role::kAuditor).Get("/v1/tenants").status, 200);
  EXPECT_EQ(Client(service_.port(), "").Get("/healthz").status, 200);
  MustSet(json::object());
  EXPECT_EQ(publisher_.Get(live).status, 200);
  const std::string metrics = service_.admin().Get("/metrics").body;
  EXPECT_NE(metrics.find("signum_refusals_total{reason=\"rate_limited\"} 2\n"), std::string::npos);
}

ServiceOptions WithDefaults() {
  ServiceOptions options = NoWorker();
  options.quota.max_bytes = 100;
  options.quota.burst = 9;
  options.auth_failures = 0.01;
  return options;
}

class ServerDefaults : public QuotaApi {
 protected:
  ServerDefaults() : QuotaApi(WithDefaults()) {}
};

TEST_F(ServerDefaults, HoldWhereATenantHasNoQuotaOfItsOwn) {
  EXPECT_EQ(Declare(publisher_, 101).Code(), "quota_exceeded");
  MustSet({{"max_bytes", 200}});
  EXPECT_EQ(Declare(publisher_, 101).status, 201);
  const json shown = service_.admin().Get(kAcme).Json();
  EXPECT_EQ(shown["quota"]["burst"], nullptr);
  EXPECT_EQ(shown["in_force"]["burst"], 9);
  EXPECT_EQ(shown["in_force"]["max_bytes"], 200);
}

TEST_F(ServerDefaults, TooManyBadTokensShutAnAddressOut) {
  const Client wrong(service_.port(), "sgn_wrong");
  EXPECT_EQ(Client(service_.port(), "").Get("/v1/bases").status, 401) << "none is no bad one";
  EXPECT_EQ(publisher_.Get("/v1/bases").status, 200);
  EXPECT_EQ(wrong.Get("/v1/bases").status, 401);
  const Reply refused = wrong.Get("/v1/bases");
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.Code(), "too_many_failures");
  EXPECT_FALSE(refused.Header("retry-after").empty());
  EXPECT_EQ(publisher_.Get("/v1/bases").status, 429) << "good ones of that address wait too";
  EXPECT_EQ(publisher_.Get("/healthz").status, 200);
}

}  // namespace
}  // namespace signum::test
