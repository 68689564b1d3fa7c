#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/fixture.h"
#include "tests/server/models.h"

namespace signum::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr auto kModel = "/v1/tenants/acme/models/chat";

class VersionsTest : public testing::Test {
 protected:
  explicit VersionsTest(bool worker = true)
      : service_({.worker = worker}), publisher_(service_.As(Role::kPublisher, {"acme"})) {
    CreateBase(service_.admin(), "small", MakeSmall({}));
  }
  json PushOne(uint32_t seed, const json& extra = json::object()) {
    return Push(publisher_, kModel, "small", MakeSmall({.seed = seed}), extra);
  }
  json PushReady(uint32_t seed, const json& extra = json::object()) {
    const json version = WaitForVersion(publisher_, PushOne(seed, extra));
    EXPECT_EQ(version["state"], "ready") << version;
    return version;
  }
  std::string Path(uint64_t version) const {
    return std::string(kModel) + "/versions/" + std::to_string(version);
  }

  Service service_;
  Client publisher_;
};

// Without a worker: versions stay queued.
class QueuedVersionsTest : public VersionsTest {
 protected:
  QueuedVersionsTest() : VersionsTest(false) {}
};

TEST_F(VersionsTest, AFineTuneBecomesAOneBitDelta) {
  const Files files = MakeSmall({.seed = 1});
  const std::string upload = Upload(publisher_, files);
  const Reply accepted =
      publisher_.Post(std::string(kModel) + "/versions", {{"upload", upload}, {"base", "small"}});
  ASSERT_EQ(accepted.status, 202) << accepted.body;
  const json pushed = accepted.Json();
  EXPECT_EQ(pushed["version"], 1);
  EXPECT_EQ(accepted.Header("location"), pushed["url"]);

  const json version = WaitForVersion(publisher_, pushed);
  ASSERT_EQ(version["state"], "ready") << version;
  const json base = publisher_.Get("/v1/bases/small").Json();
  EXPECT_EQ(version["base_digest"], base["digest"]);
  EXPECT_EQ(version["job"], pushed["job"]);
  EXPECT_EQ(version["codec"], "sign1");
  EXPECT_EQ(version["scales"], "row+col");
  EXPECT_EQ(version["embeddings"], "onebit");
  EXPECT_EQ(version["method"], "distill");
  EXPECT_EQ(version["keep_exact"], true);
  EXPECT_EQ(version["error"], nullptr);
  EXPECT_EQ(version["aliases"], json({"latest", "live"}));
  EXPECT_EQ(version["lineage"],
            json({{"base", "small"}, {"parent", nullptr}, {"from_version", nullptr}}));
  EXPECT_EQ(version["sizes"]["upload"], files[0].second.size() + files[1].second.size());
  EXPECT_GT(version["sizes"]["exact"], 0);
  EXPECT_GT(version["ratio"], 1.0);
  EXPECT_GT(version["linear"]["weights"], 0);
  EXPECT_GE(version["linear"]["bits_per_weight"], 1.0);  // small matrices: scales weigh more
  EXPECT_EQ(version["files"].size(), 2u);
  EXPECT_EQ(publisher_.Get("/v1/uploads/" + upload).status, 404);
  EXPECT_TRUE(std::filesystem::is_empty(service_.directory() / "tmp"));
}

TEST_F(VersionsTest, TheResourceIsTaggedAndFoundByAlias) {
  PushReady(1);
  const Reply by_number = publisher_.Get(Path(1));
  const std::string etag = by_number.Header("etag");
  EXPECT_THAT(etag, testing::StartsWith("\""));
  EXPECT_EQ(publisher_.Get(Path(1), {{"If-None-Match", etag}}).status, 304);
  EXPECT_EQ(publisher_.Get(std::string(kModel) + "/versions/latest").Json(), by_number.Json());
  PushReady(2);  // takes `latest` away: the resource changed
  EXPECT_EQ(publisher_.Get(Path(1), {{"If-None-Match", etag}}).status, 200);
  EXPECT_EQ(publisher_.Get(std::string(kModel) + "/versions/latest").Json()["version"], 2);
  EXPECT_EQ(publisher_.Get(std::string(kModel) + "/versions/live").Json()["version"], 1);
  EXPECT_EQ(publisher_.Get(Path(2)).Json()["lineage"]["parent"], 1);
}

TEST_F(VersionsTest, OptionsAreHonoured) {
  const json raw = PushReady(1, {{"codec", "raw"}});
  EXPECT_EQ(raw["linear"]["weights"], 0);
  const json rows = PushReady(1, {{"scales", "row"}, {"embeddings", "exact"}});
  EXPECT_EQ(rows["scales"], "row");
  EXPECT_EQ(rows["embeddings"], "exact");
  const json both = PushReady(1, {{"method", "none"}});
  EXPECT_LT(rows["linear"]["bytes"], both["linear"]["bytes"]);
  EXPECT_GT(rows["sizes"]["delta"], both["sizes"]["delta"]);
  EXPECT_GT(raw["sizes"]["delta"], rows["sizes"]["delta"]);
}

TEST_F(VersionsTest, TheExactUploadIsDroppedOnRequest) {
  const json version = PushReady(1, {{"keep_exact", false}});
  EXPECT_EQ(version["keep_exact"], false);
  EXPECT_EQ(version["sizes"]["exact"], 0);
  // Its tensors never entered the store.
  const auto record = service_.app().catalog.GetVersion("acme", "chat", 1);
  const auto recipe = ReadAll(**service_.app().objects.Open(*record->recipe), 1 << 20);
  const Recipe parsed = *Recipe::Parse(*recipe);
  EXPECT_FALSE(*service_.app().objects.Has(parsed.Find("model.safetensors")->tensors.front()));
}

TEST_F(VersionsTest, AnOldVersionIsCompressedAgainWithoutAnUpload) {
  const json first = PushReady(1);
  const auto again = [&](const json& body) {
    return publisher_.Post(std::string(kModel) + "/versions", body);
  };
  const Reply accepted = again({{"from_version", 1}, {"method", "none"}, {"codec", "raw"}});
  ASSERT_EQ(accepted.status, 202) << accepted.body;
  const json second = WaitForVersion(publisher_, accepted.Json());
  ASSERT_EQ(second["state"], "ready") << second;
  EXPECT_EQ(second["codec"], "raw");
  EXPECT_EQ(second["lineage"]["from_version"], 1);
  EXPECT_EQ(second["recipe"], first["recipe"]);
  EXPECT_EQ(second["sizes"]["exact"], 0);
  EXPECT_EQ(second["sizes"]["upload"], first["sizes"]["upload"]);
  // Of what is not kept nothing can be made.
  const json third = WaitForVersion(
      publisher_, again({{"from_version", 2}, {"method", "none"}, {"keep_exact", false}}).Json());
  EXPECT_EQ(third["digest"], first["digest"]);
  EXPECT_EQ(third["recipe"], nullptr);
  EXPECT_EQ(again({{"from_version", 3}}).Json()["code"], "exact_not_kept");
  EXPECT_EQ(again({{"from_version", 9}}).Json()["code"], "unknown_version");
  EXPECT_EQ(again({{"from_version", 1}, {"upload", "u"}}).Json()["code"], "bad_field");
}

TEST_F(QueuedVersionsTest, AVersionThatIsNotReadyIsNoSource) {
  PushOne(1);
  const Reply refused = publisher_.Post(std::string(kModel) + "/versions", {{"from_version", 1}});
  EXPECT_EQ(refused.status, 409);
  EXPECT_EQ(refused.Json()["code"], "version_not_ready");
}

TEST_F(QueuedVersionsTest, RefusesWhatItCannotDoAndNamesTheField) {
  const std::string upload = Upload(publisher_, MakeSmall({.seed = 1}));
  struct Case {
    json extra;
    std::string code, names;
  };
  const Case cases[] = {
      {{{"codec", "sign9"}}, "unsupported_codec", "codec"},
      {{{"codec", 1}}, "bad_field", "codec"},
      {{{"scales", "diagonal"}}, "unsupported_scales", "scales"},
      {{{"embeddings", "half"}}, "unsupported_embeddings", "embeddings"},
      {{{"method", "magic"}}, "unsupported_method", "magic"},
      {{{"distill", 5}}, "bad_field", "distill"},
      {{{"distill", {{"steps", 0}}}}, "bad_field", "distill.steps"},
      {{{"distill", {{"stps", 5}}}}, "unknown_field", "distill.stps"},
      {{{"distill", {{"loss", "l1"}}}}, "unsupported_loss", "l1"},
      {{{"distill", {{"calibration", "mine"}}}}, "unsupported_calibration", "mine"},
      {{{"distill", {{"calibration", {{"tokens", "1 2\n3"}}}}}}, "bad_tokens", "line 2"},
      {{{"gate", {{"max_kl", "low"}}}}, "bad_field", "gate.max_kl"},
      {{{"gate", {{"min_top1", 1.5}}}}, "bad_field", "gate.min_top1"},
      {{{"keep_exact", "yes"}}, "bad_field", "keep_exact"},
      {{{"keep_exat", true}}, "unknown_field", "keep_exat"},
      {{{"base", "nope"}}, "unknown_base", "nope"},
      {{{"base", nullptr}}, "missing_field", "base"},
      {{{"upload", 7}}, "bad_field", "upload"},
  };
  for (const Case& wrong : cases) {
    json body = {{"upload", upload}, {"base", "small"}};
    body.update(wrong.extra);
    const Reply reply = publisher_.Post(std::string(kModel) + "/versions", body);
    EXPECT_EQ(reply.status, 422) << body << reply.body;
    EXPECT_EQ(reply.Code(), wrong.code) << body;
    EXPECT_THAT(reply.Json()["detail"].get<std::string>(), HasSubstr(wrong.names)) << body;
  }
  EXPECT_EQ(publisher_.Get(std::string(kModel) + "/versions").status, 404);  // nothing was made
}

TEST_F(QueuedVersionsTest, RefusesUploadsThatAreNotThereOrNotWhole) {
  const std::string versions = std::string(kModel) + "/versions";
  const Reply unknown = publisher_.Post(versions, {{"upload", "nope"}, {"base", "small"}});
  EXPECT_EQ(unknown.status, 404);
  EXPECT_EQ(unknown.Code(), "unknown_upload");
  const json half = CreateUpload(publisher_, MakeSmall({.seed = 1}));
  const Reply incomplete = publisher_.Post(versions, {{"upload", half["id"]}, {"base", "small"}});
  EXPECT_EQ(incomplete.status, 409);
  EXPECT_EQ(incomplete.Code(), "upload_incomplete");
  const std::string foreign = Upload(service_.As(Role::kPublisher, {"other"}), MakeSmall({}));
  EXPECT_EQ(publisher_.Post(versions, {{"upload", foreign}, {"base", "small"}}).Code(),
            "unknown_upload");
}

TEST_F(QueuedVersionsTest, RefusesAnotherArchitecture) {
  const std::string upload = Upload(publisher_, MakeSmall({.seed = 1, .hidden = 32}));
  const Reply reply =
      publisher_.Post(std::string(kModel) + "/versions", {{"upload", upload}, {"base", "small"}});
  EXPECT_EQ(reply.status, 422);
  EXPECT_EQ(reply.Code(), "architecture_mismatch");
  EXPECT_THAT(reply.body, HasSubstr("hidden_size"));
}

TEST_F(QueuedVersionsTest, RefusesNotANumber) {
  const std::string upload = Upload(publisher_, MakeSmall({.seed = 1, .nan = true}));
  const Reply reply =
      publisher_.Post(std::string(kModel) + "/versions", {{"upload", upload}, {"base", "small"}});
  EXPECT_EQ(reply.status, 422);
  EXPECT_EQ(reply.Code(), "not_finite");
  EXPECT_THAT(reply.body, HasSubstr("model.safetensors"));
  EXPECT_THAT(reply.body, HasSubstr("self_attn.q_proj.weight"));
}

TEST_F(QueuedVersionsTest, OneUploadMakesOneVersion) {
  PushOne(1);
  const std::string upload = service_.app().catalog.GetVersion("acme", "chat", 1)->upload;
  const std::string versions = std::string(kModel) + "/versions";
  // The same request again, as after a lost answer, finds what it made.
  const json same = {{"upload", upload}, {"base", "small"}, {"method", "none"}};
  const Reply again = publisher_.Post(versions, same);
  EXPECT_EQ(again.status, 202) << again.body;
  EXPECT_EQ(again.Json()["version"], 1);
  const json other = {{"upload", upload}, {"base", "small"}, {"scales", "row"}};
  EXPECT_EQ(publisher_.Post(versions, other).Code(), "upload_in_use");
  EXPECT_EQ(publisher_.Delete("/v1/uploads/" + upload).Code(), "upload_in_use");
  EXPECT_EQ(publisher_.Get(versions).Json()["versions"].size(), 1u);
}

TEST_F(VersionsTest, ALostAnswerIsFoundAgainWhenTheVersionIsReady) {
  PushReady(1);
  const std::string upload = service_.app().catalog.GetVersion("acme", "chat", 1)->upload;
  const std::string versions = std::string(kModel) + "/versions";
  const json body = {{"upload", upload}, {"base", "small"}, {"method", "none"}};
  EXPECT_EQ(publisher_.Post(versions, body).Json()["version"], 1);
  // In another model the upload is simply gone.
  const Reply elsewhere = publisher_.Post("/v1/tenants/acme/models/other/versions", body);
  EXPECT_EQ(elsewhere.Code(), "unknown_upload");
}

TEST_F(QueuedVersionsTest, OthersTenantsAreOutOfReach) {
  PushOne(1);
  const Client stranger = service_.As(Role::kPublisher, {"other"});
  const Client node = service_.As(Role::kNode, {"acme"});
  const Client auditor = service_.As(Role::kAuditor);
  const std::string upload = Upload(stranger, MakeSmall({.seed = 1}));
  const json body = {{"upload", upload}, {"base", "small"}};
  const std::string versions = std::string(kModel) + "/versions";
  EXPECT_EQ(stranger.Post(versions, body).Code(), "not_yours");
  for (const std::string& target : {versions, Path(1), Path(99)}) {
    const Reply reply = stranger.Get(target);
    EXPECT_EQ(reply.status, 403) << target;
    EXPECT_EQ(reply.Code(), "not_yours") << target;
    EXPECT_EQ(auditor.Get(target).status, 403) << target;
    EXPECT_EQ(Client(service_.port(), "").Get(target).status, 401) << target;
  }
  EXPECT_EQ(stranger.Delete(Path(1)).status, 403);
  EXPECT_EQ(node.Get(Path(1)).status, 200);
  EXPECT_EQ(node.Post(versions, body).status, 403);
  EXPECT_EQ(node.Delete(Path(1)).status, 403);
}

TEST_F(QueuedVersionsTest, NamesAreChecked) {
  const std::string upload = Upload(service_.admin(), MakeSmall({.seed = 1}));
  const json body = {{"upload", upload}, {"base", "small"}};
  for (const auto* path :
       {"/v1/tenants/Bad/models/m", "/v1/tenants/t/models/-m", "/v1/tenants/t/models/a%20b"}) {
    const Reply reply = service_.admin().Post(std::string(path) + "/versions", body);
    EXPECT_EQ(reply.status, 400) << path;
    EXPECT_EQ(reply.Code(), "bad_name") << path;
  }
}

TEST_F(QueuedVersionsTest, ListsPageByNumber) {
  for (uint32_t seed = 1; seed <= 3; ++seed) PushOne(seed);
  const std::string versions = std::string(kModel) + "/versions";
  const json first = publisher_.Get(versions + "?limit=2").Json();
  ASSERT_EQ(first["versions"].size(), 2u);
  EXPECT_EQ(first["versions"][0]["version"], 1);
  EXPECT_EQ(first["next"], "2");
  const json second = publisher_.Get(versions + "?after=2").Json();
  ASSERT_EQ(second["versions"].size(), 1u);
  EXPECT_EQ(second["next"], nullptr);
  EXPECT_EQ(publisher_.Get(versions + "?after=x").Code(), "bad_query");
  EXPECT_EQ(publisher_.Get("/v1/tenants/acme/models/none/versions").Code(), "unknown_model");
  EXPECT_EQ(publisher_.Get(Path(99)).Code(), "unknown_version");
  EXPECT_EQ(publisher_.Get(versions + "/stable").Code(), "unknown_alias");
}

TEST_F(QueuedVersionsTest, AWaitingVersionIsNotDeletedUnderItsJob) {
  PushOne(1);
  const Reply reply = publisher_.Delete(Path(1));
  EXPECT_EQ(reply.status, 409);
  EXPECT_EQ(reply.Code(), "version_busy");
}

TEST_F(VersionsTest, DeleteRefusesWhatAnAliasPointsAt) {
  PushReady(1);
  const Reply live = publisher_.Delete(Path(1));
  EXPECT_EQ(live.status, 409);
  EXPECT_EQ(live.Code(), "version_in_use");
  EXPECT_THAT(live.body, HasSubstr("live"));
  PushReady(2);
  EXPECT_EQ(publisher_.Delete(Path(2), {{"If-Match", "\"stale\""}}).status, 412);
  EXPECT_EQ(publisher_.Delete(Path(2)).status, 204);
  EXPECT_EQ(publisher_.Get(Path(2)).status, 404);
  EXPECT_EQ(publisher_.Get(std::string(kModel) + "/versions/latest").Json()["version"], 1);
  EXPECT_EQ(PushReady(3)["version"], 3);  // numbers are never reused
}

TEST_F(VersionsTest, AnIdempotencyKeyMakesOneVersion) {
  const std::string upload = Upload(publisher_, MakeSmall({.seed = 1}));
  const json body = {{"upload", upload}, {"base", "small"}};
  const HeaderList key = {{"Idempotency-Key", "push-1"}};
  const std::string versions = std::string(kModel) + "/versions";
  const Reply first = publisher_.Post(versions, body, key);
  ASSERT_EQ(first.status, 202) << first.body;
  WaitForVersion(publisher_, first.Json());
  const Reply second = publisher_.Post(versions, body, key);
  EXPECT_EQ(second.status, 202);
  EXPECT_EQ(second.Json(), first.Json());
  EXPECT_EQ(publisher_.Get(versions).Json()["versions"].size(), 1u);
}

}  // namespace
}  // namespace signum::test
