#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/format/checkpoint.h"
#include "storage/object_store.h"
#include "tests/server/fixture.h"
#include "tests/server/models.h"
#include "tests/support/result_matchers.h"

namespace signum::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class BasesTest : public testing::Test {
 protected:
  const Client& admin() const { return service_.admin(); }
  Reply Create(const Files& files, const std::string& name = "b") {
    return admin().Post("/v1/bases/" + name, {{"upload", Upload(admin(), files)}});
  }
  Service service_{{.worker = false}};
};

TEST_F(BasesTest, KeepsTheTinyLlamaByteForByte) {
  const Files files = TinyLlama("base");
  const std::string upload = Upload(admin(), files);
  const Reply created = admin().Post("/v1/bases/tiny", {{"upload", upload}});
  ASSERT_EQ(created.status, 201) << created.body;
  const json base = created.Json();
  EXPECT_EQ(base["name"], "tiny");
  EXPECT_EQ(base["architecture"], "LlamaForCausalLM");
  EXPECT_GT(base["parameters"], 3'000'000);
  uint64_t total = 0;
  for (const auto& [path, bytes] : files) total += bytes.size();
  EXPECT_EQ(base["sizes"]["upload"], total);
  EXPECT_GT(base["sizes"]["stored"], 6'000'000);
  EXPECT_THAT(created.Header("location"), HasSubstr("/v1/bases/tiny"));
  EXPECT_EQ(created.Header("etag"), '"' + base["digest"].get<std::string>() + '"');
  EXPECT_EQ(admin().Get("/v1/uploads/" + upload).status, 404);  // its bytes are in the store now
  // A repeated request (a lost answer) is no second base.
  const Reply again = admin().Post("/v1/bases/tiny", {{"upload", upload}});
  EXPECT_EQ(again.status, 201);
  EXPECT_EQ(again.Json(), base);

  ASSERT_EQ(base["files"].size(), files.size());
  for (const auto& [path, bytes] : files) {
    const Reply file = admin().Get("/v1/bases/tiny/files/" + path);
    EXPECT_EQ(file.status, 200) << path;
    EXPECT_TRUE(file.body == bytes) << path;
    EXPECT_EQ(file.Header("etag"), '"' + Sha256Text(bytes) + '"') << path;
  }
}

TEST_F(BasesTest, OutlivesARestart) {
  const Files files = MakeSmall({});
  const json base = CreateBase(admin(), "b", files);
  service_.Restart();
  EXPECT_EQ(admin().Get("/v1/bases/b").Json(), base);
  EXPECT_TRUE(admin().Get("/v1/bases/b/files/model.safetensors").body == files[1].second);
}

TEST_F(BasesTest, FilesAnswerRangesAndConditions) {
  const Files files = MakeSmall({});
  CreateBase(admin(), "b", files);
  const std::string& weights = files[1].second;
  const std::string target = "/v1/bases/b/files/model.safetensors";
  const std::string etag = '"' + Sha256Text(weights) + '"';

  const Reply range = admin().Get(target, {{"Range", "bytes=1000-1999"}});
  EXPECT_EQ(range.status, 206);
  EXPECT_TRUE(range.body == weights.substr(1000, 1000));
  EXPECT_EQ(range.Header("content-range"), "bytes 1000-1999/" + std::to_string(weights.size()));
  EXPECT_EQ(admin().Get(target, {{"Range", "bytes=99999999-"}}).status, 416);
  EXPECT_EQ(admin().Get(target, {{"If-None-Match", etag}}).status, 304);
  EXPECT_EQ(admin().Get(target, {{"If-Match", "\"other\""}}).status, 412);

  const Reply head = admin().Call("HEAD", target);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.Header("content-length"), std::to_string(weights.size()));
  EXPECT_EQ(head.Header("accept-ranges"), "bytes");
  EXPECT_EQ(head.Header("repr-digest"), Sha256::Of(AsBytes(weights)).ReprDigest());
  EXPECT_EQ(admin().Get("/v1/bases/b/files/config.json").Header("content-type"),
            "application/json");
}

TEST_F(BasesTest, TheManifestHashesToTheBasesDigest) {
  const json base = CreateBase(admin(), "b", MakeSmall({}));
  const Reply manifest = admin().Get("/v1/bases/b/manifest");
  ASSERT_EQ(manifest.status, 200);
  EXPECT_EQ(Sha256Text(manifest.body), base["digest"]);
  EXPECT_FALSE(manifest.Json().is_discarded());
}

TEST_F(BasesTest, ANameIsTakenOnce) {
  CreateBase(admin(), "b", MakeSmall({}));
  const Reply again = Create(MakeSmall({.seed = 1}));
  EXPECT_EQ(again.status, 409);
  EXPECT_EQ(again.Code(), "base_exists");
}

TEST_F(BasesTest, ListsInOrderAndPages) {
  for (const auto* name : {"c", "a", "b"}) CreateBase(admin(), name, MakeSmall({}));
  const json first = admin().Get("/v1/bases?limit=2").Json();
  ASSERT_EQ(first["bases"].size(), 2u);
  EXPECT_EQ(first["bases"][0]["name"], "a");
  EXPECT_EQ(first["next"], "b");
  const json second = admin().Get("/v1/bases?limit=2&after=b").Json();
  ASSERT_EQ(second["bases"].size(), 1u);
  EXPECT_EQ(second["bases"][0]["name"], "c");
  EXPECT_EQ(second["next"], nullptr);
  for (const auto* wrong : {"0", "1001", "x", "-1"}) {
    EXPECT_EQ(admin().Get(std::string("/v1/bases?limit=") + wrong).Code(), "bad_query") << wrong;
  }
}

// Puts into the store what a creation does that is killed before it has a record.
void StoreAndDie(Service& service, const std::string& upload) {
  const auto checkpoint = Checkpoint::Parse(*service.app().uploads.OpenFiles(upload));
  ASSERT_THAT(checkpoint, Ok());
  ASSERT_THAT(IngestBase(service.app().objects, **checkpoint, {}), Ok());
  service.Restart();
}

// What the first attempt stored before its process died counts for the base all the same, whether
// its upload is used again or the client begins with a new one.
TEST_F(BasesTest, ACreationThatWasKilledCostsWhatItStored) {
  const json whole = CreateBase(admin(), "a", MakeSmall({}))["sizes"]["stored"];
  for (const bool fresh : {false, true}) {
    Service other;
    std::string upload = Upload(other.admin(), MakeSmall({}));
    StoreAndDie(other, upload);
    if (fresh) upload = Upload(other.admin(), MakeSmall({}));
    const Reply created = other.admin().Post("/v1/bases/a", {{"upload", upload}});
    ASSERT_EQ(created.status, 201) << created.body;
    EXPECT_EQ(created.Json()["sizes"]["stored"], whole) << fresh;
  }
}

// What others name is theirs, also where the rest was stored by an attempt that died.
TEST_F(BasesTest, ABaseCostsWhatNoOtherNames) {
  CreateBase(admin(), "a", MakeSmall({}));
  Files more = MakeSmall({.seed = 1});
  const uint64_t whole = CreateBase(admin(), "b", more)["sizes"]["stored"];
  EXPECT_GT(whole, 0u);
  Service other;
  CreateBase(other.admin(), "a", MakeSmall({}));
  StoreAndDie(other, Upload(other.admin(), more));
  EXPECT_EQ(CreateBase(other.admin(), "b", more)["sizes"]["stored"], whole);
}

TEST_F(BasesTest, AnEqualBaseCostsNothingTwice) {
  CreateBase(admin(), "a", MakeSmall({}));
  const json second = CreateBase(admin(), "b", MakeSmall({}));
  EXPECT_EQ(second["sizes"]["stored"], 0);
  EXPECT_EQ(second["digest"], admin().Get("/v1/bases/a").Json()["digest"]);
}

TEST_F(BasesTest, OnlyAdminsCreateEveryoneButAuditorsReads) {
  const Files files = MakeSmall({});
  const Client publisher = service_.As(Role::kPublisher, {"acme"});
  const Reply denied = publisher.Post("/v1/bases/b", {{"upload", Upload(publisher, files)}});
  EXPECT_EQ(denied.status, 403);
  EXPECT_EQ(denied.Code(), "role_required");
  CreateBase(admin(), "b", files);
  for (const Client& reader : {publisher, service_.As(Role::kNode, {"acme"})}) {
    EXPECT_EQ(reader.Get("/v1/bases/b").status, 200);
    EXPECT_EQ(reader.Get("/v1/bases/b/files/config.json").status, 200);
  }
  EXPECT_EQ(service_.As(Role::kAuditor).Get("/v1/bases").status, 403);
  EXPECT_EQ(Client(service_.port(), "").Get("/v1/bases/b").status, 401);
}

TEST_F(BasesTest, UnknownThings) {
  CreateBase(admin(), "b", MakeSmall({}));
  EXPECT_EQ(admin().Get("/v1/bases/x").Code(), "unknown_base");
  EXPECT_EQ(admin().Get("/v1/bases/b/files/none").Code(), "unknown_file");
  EXPECT_EQ(admin().Get("/v1/bases/b/files/%2e%2e/%2e%2e/signing.key").status, 400);
  EXPECT_EQ(admin().Get("/v1/bases/b/files/..%2fsigning.key").status, 400);
  EXPECT_EQ(admin().Post("/v1/bases/c", {{"upload", "nope"}}).Code(), "unknown_upload");
  EXPECT_EQ(admin().Post("/v1/bases/Capital", {{"upload", "x"}}).Code(), "bad_name");
  EXPECT_EQ(admin().Post("/v1/bases/c", json::object()).Code(), "missing_field");
}

TEST_F(BasesTest, AnIncompleteUploadIsNamed) {
  const json upload = CreateUpload(admin(), MakeSmall({}));
  const Reply reply = admin().Post("/v1/bases/b", {{"upload", upload["id"]}});
  EXPECT_EQ(reply.status, 409);
  EXPECT_EQ(reply.Code(), "upload_incomplete");
  EXPECT_THAT(reply.body, HasSubstr("config.json"));
}

// A safetensors file with the header given and `data` zero bytes.
std::string Safetensors(const std::string& header, size_t data) {
  std::string file(8, '\0');
  StoreLe<uint64_t>(file.data(), header.size());
  return file + header + std::string(data, '\0');
}

TEST_F(BasesTest, RefusesCheckpointsThatLie) {
  const std::string config = MakeSmall({})[0].second;
  const auto tensor = [](const std::string& name, const std::string& dtype,
                         const std::string& shape, const std::string& offsets) {
    return '"' + name + R"(":{"dtype":")" + dtype + R"(","shape":)" + shape +
           R"(,"data_offsets":)" + offsets + "}";
  };
  const std::string good = tensor("a", "F32", "[1]", "[0,4]");
  struct Case {
    std::string code, weights;
  };
  std::string too_long(8, '\0');
  StoreLe<uint64_t>(too_long.data(), 1ull << 40);
  const Case cases[] = {
      {"header_truncated", "abc"},
      {"header_too_long", too_long + "{}"},
      {"header_not_json", Safetensors("{\"a\":", 0)},
      {"unknown_dtype", Safetensors("{" + tensor("a", "F99", "[1]", "[0,4]") + "}", 4)},
      {"offsets_overlap",
       Safetensors("{" + good + "," + tensor("b", "F32", "[1]", "[2,6]") + "}", 6)},
      {"offsets_hole",
       Safetensors("{" + good + "," + tensor("b", "F32", "[1]", "[8,12]") + "}", 12)},
      {"offsets_out_of_range", Safetensors("{" + tensor("a", "F32", "[1]", "[0,4]") + "}", 0)},
      {"size_mismatch", Safetensors("{" + tensor("a", "F32", "[2]", "[0,4]") + "}", 4)},
      {"shape_overflow",
       Safetensors("{" + tensor("a", "F32", "[4294967296,4294967296,16]", "[0,4]") + "}", 4)},
      {"duplicate_tensor", Safetensors("{" + good + "," + good + "}", 4)},
      {"pickle_file", std::string("PK\x03\x04", 4) + std::string(100, 'x')},
  };
  for (const Case& wrong : cases) {
    const Reply reply = Create({{"config.json", config}, {"model.safetensors", wrong.weights}});
    EXPECT_EQ(reply.status, 422) << wrong.code << " " << reply.body;
    EXPECT_EQ(reply.Code(), wrong.code) << reply.body;
    EXPECT_THAT(reply.body, HasSubstr("model.safetensors")) << wrong.code;
  }
  EXPECT_EQ(admin().Get("/v1/bases").Json()["bases"].size(), 0u);
}

TEST_F(BasesTest, RefusesIncompleteCheckpoints) {
  const Files small = MakeSmall({});
  const json index = {{"metadata", {{"total_size", 1}}},
                      {"weight_map", {{"a", "model-00002-of-00002.safetensors"}}}};
  EXPECT_EQ(Create({small[1]}).Code(), "no_config");
  EXPECT_EQ(Create({small[0]}).Code(), "no_weights");
  const Reply shard = Create({small[0], small[1], {"model.safetensors.index.json", index.dump()}});
  EXPECT_EQ(shard.status, 422);
  EXPECT_EQ(shard.Code(), "missing_shard");
  EXPECT_THAT(shard.body, HasSubstr("model-00002-of-00002.safetensors"));
  EXPECT_EQ(Create({small[0], small[1], {"pytorch_model.bin", "\x80\x02}q\x01."}}).Code(),
            "pickle_file");
}

TEST_F(BasesTest, RefusesNotANumberUnlessAllowed) {
  const Files files = MakeSmall({.nan = true});
  const std::string upload = Upload(admin(), files);
  const Reply refused = admin().Post("/v1/bases/b", {{"upload", upload}});
  EXPECT_EQ(refused.status, 422);
  EXPECT_EQ(refused.Code(), "not_finite");
  EXPECT_THAT(refused.body, HasSubstr("q_proj"));
  EXPECT_EQ(admin().Post("/v1/bases/b", {{"upload", upload}, {"allow_not_finite", true}}).status,
            201);
}

}  // namespace
}  // namespace signum::test
