#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "storage/format/delta_file.h"
#include "storage/format/manifest.h"
#include "storage/format/safetensors.h"
#include "tests/server/fixture.h"
#include "tests/server/models.h"

namespace signum::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr auto kVersion = "/v1/tenants/acme/models/chat/versions/1";
constexpr auto kImmutable = "public, max-age=31536000, immutable";

float FromBf16(uint16_t bits) {
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &wide, sizeof(value));
  return value;
}

uint16_t RoundToBf16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

// One tensor's data out of a safetensors file.
std::string TensorOf(const std::string& file, const std::string& name) {
  const auto header = ParseSafetensors(MemorySource(file), "file");
  for (const SafetensorsEntry& entry : header->tensors) {
    if (entry.info.name == name) {
      return file.substr(header->header_bytes + entry.begin, entry.end - entry.begin);
    }
  }
  ADD_FAILURE() << "no tensor " << name;
  return {};
}

class ArtifactsTest : public testing::Test {
 protected:
  ArtifactsTest()
      : publisher_(service_.As(Role::kPublisher, {"acme"})),
        base_(MakeSmall({})),
        fine_(MakeSmall({.seed = 1})) {
    CreateBase(service_.admin(), "small", base_);
  }
  json PushReady(const json& extra = json::object()) {
    json version = WaitForVersion(
        publisher_, Push(publisher_, "/v1/tenants/acme/models/chat", "small", fine_, extra));
    EXPECT_EQ(version["state"], "ready") << version;
    return version;
  }
  Reply Get(const std::string& what, const HeaderList& headers = {}) const {
    return publisher_.Get(kVersion + ("/" + what), headers);
  }
  static std::string Blob(const json& digest) { return "/v1/blobs/" + digest.get<std::string>(); }

  Service service_;
  Client publisher_;
  Files base_, fine_;
};

TEST_F(ArtifactsTest, TheDeltaIsWhatTheManifestSigns) {
  const json version = PushReady();
  const Reply delta = Get("delta");
  ASSERT_EQ(delta.status, 200);
  EXPECT_EQ(Sha256Text(delta.body), version["digest"]);
  EXPECT_EQ(delta.body.size(), version["sizes"]["delta"]);
  EXPECT_EQ(delta.Header("etag"), '"' + version["digest"].get<std::string>() + '"');
  EXPECT_EQ(delta.Header("repr-digest"), Sha256::Of(AsBytes(delta.body)).ReprDigest());

  const Reply envelope = Get("manifest");
  ASSERT_EQ(envelope.status, 200);
  EXPECT_EQ(Sha256Text(envelope.body), version["manifest_digest"]);
  const auto manifest =
      Manifest::Verify(envelope.body, service_.app().keys.Current()->public_key());
  ASSERT_TRUE(manifest.has_value()) << manifest.error().message;
  EXPECT_EQ(manifest->tenant, "acme");
  EXPECT_EQ(manifest->model, "chat");
  EXPECT_EQ(manifest->version, 1u);
  EXPECT_EQ(manifest->base, "small");
  EXPECT_EQ(manifest->base_digest.Text(), version["base_digest"]);
  EXPECT_EQ(manifest->delta_digest.Text(), version["digest"]);
  EXPECT_EQ(manifest->delta_size, delta.body.size());
  EXPECT_EQ(manifest->architecture, "LlamaForCausalLM");
  ASSERT_EQ(manifest->chunks.size(), (delta.body.size() + kChunkBytes - 1) / kChunkBytes);
  for (size_t i = 0; i < manifest->chunks.size(); ++i) {
    const auto chunk = delta.body.substr(i * kChunkBytes, kChunkBytes);
    EXPECT_EQ(manifest->chunks[i], Sha256::Of(AsBytes(chunk)));
  }
  EXPECT_EQ(manifest->recipe.TotalBytes(), version["sizes"]["upload"]);
}

// W = base + s_row * s_col * (2 bit - 1), computed here from the delta file alone.
TEST_F(ArtifactsTest, TheRebuiltCheckpointEqualsTheFormula) {
  PushReady();
  const std::string delta = Get("delta").body;
  const std::string rebuilt = Get("checkpoint/model.safetensors?fidelity=onebit").body;
  ASSERT_EQ(rebuilt.size(), fine_[1].second.size());
  const std::string name = "model.layers.0.mlp.down_proj.weight";
  const uint64_t rows = 64;
  const uint64_t cols = 128;
  const std::string sign = TensorOf(delta, name + ".sign");
  const std::string row = TensorOf(delta, name + ".scale.row");
  const std::string col = TensorOf(delta, name + ".scale.col");
  const std::string before = TensorOf(base_[1].second, name);
  const std::string after = TensorOf(rebuilt, name);
  ASSERT_EQ(sign.size(), rows * cols / 8);
  for (uint64_t n = 0; n < rows; ++n) {
    for (uint64_t k = 0; k < cols; ++k) {
      const uint64_t at = n * cols + k;
      const bool bit = (static_cast<uint8_t>(sign[at / 8]) >> (at % 8) & 1) != 0;
      const float scale = LoadLe<float>(row.data() + 4 * n) * LoadLe<float>(col.data() + 4 * k);
      const float weight = FromBf16(LoadLe<uint16_t>(before.data() + 2 * at));
      const uint16_t want = RoundToBf16(bit ? weight + scale : weight - scale);
      ASSERT_EQ(LoadLe<uint16_t>(after.data() + 2 * at), want) << n << "," << k;
    }
  }
}

TEST_F(ArtifactsTest, RebuiltFilesHaveTheDigestsTheVersionNames) {
  const json version = PushReady();
  for (const json& file : version["files"]) {
    const std::string path = file["path"];
    const Reply whole = Get("checkpoint/" + path);
    ASSERT_EQ(whole.status, 200) << path;
    EXPECT_EQ(Sha256Text(whole.body), file["sha256"]) << path;
    EXPECT_EQ(whole.Header("etag"), '"' + file["sha256"].get<std::string>() + '"');
    const Reply range = Get("checkpoint/" + path, {{"Range", "bytes=100-299"}});
    EXPECT_EQ(range.status, 206);
    EXPECT_TRUE(range.body == whole.body.substr(100, 200)) << path;
  }
  EXPECT_EQ(Get("checkpoint/config.json").body, fine_[0].second);
  EXPECT_NE(Get("checkpoint/model.safetensors").body, fine_[1].second);
}

TEST_F(ArtifactsTest, TheExactCheckpointIsTheUpload) {
  PushReady();
  for (const auto& [path, bytes] : fine_) {
    const Reply file = Get("checkpoint/" + path + "?fidelity=exact");
    EXPECT_EQ(file.status, 200);
    EXPECT_TRUE(file.body == bytes) << path;
  }
  EXPECT_EQ(Get("checkpoint/none.bin?fidelity=exact").Code(), "unknown_file");
  EXPECT_EQ(Get("checkpoint/none.bin").Code(), "unknown_file");
  const Reply other = Get("checkpoint/config.json?fidelity=twobit");
  EXPECT_EQ(other.status, 400);
  EXPECT_EQ(other.Code(), "bad_query");
}

TEST_F(ArtifactsTest, WithoutTheExactUploadOnlyOneBitIsLeft) {
  PushReady({{"keep_exact", false}});
  const Reply exact = Get("checkpoint/model.safetensors?fidelity=exact");
  EXPECT_EQ(exact.status, 404);
  EXPECT_EQ(exact.Code(), "exact_not_kept");
  EXPECT_EQ(Get("checkpoint/model.safetensors").status, 200);
  EXPECT_EQ(Get("checkpoint/config.json").body, fine_[0].second);
}

TEST_F(ArtifactsTest, KeepingExactlyOrNotGivesTheSameDelta) {
  const json kept = PushReady();
  const json dropped = PushReady({{"keep_exact", false}});
  EXPECT_EQ(kept["digest"], dropped["digest"]);
  EXPECT_EQ(kept["files"], dropped["files"]);
}

TEST_F(ArtifactsTest, NothingToFetchBeforeAVersionIsReady) {
  service_.StopWorker();
  Push(publisher_, "/v1/tenants/acme/models/chat", "small", fine_);
  for (const auto* what :
       {"delta", "manifest", "checkpoint/config.json", "checkpoint/config.json?fidelity=exact"}) {
    const Reply reply = Get(what);
    EXPECT_EQ(reply.status, 409) << what;
    EXPECT_EQ(reply.Code(), "version_not_ready") << what;
    EXPECT_THAT(reply.body, HasSubstr("queued")) << what;
  }
}

TEST_F(ArtifactsTest, ArtifactsBelongToTheirTenant) {
  PushReady();
  const Client stranger = service_.As(Role::kNode, {"other"});
  const Client node = service_.As(Role::kNode, {"x", "acme"});
  for (const auto* what : {"/delta", "/manifest", "/checkpoint/config.json"}) {
    const std::string target = std::string(kVersion) + what;
    EXPECT_EQ(stranger.Get(target).Code(), "not_yours") << what;
    EXPECT_EQ(node.Get(target).status, 200) << what;
    EXPECT_EQ(service_.As(Role::kAuditor).Get(target).status, 403) << what;
    EXPECT_EQ(Client(service_.port(), "").Get(target).status, 401) << what;
  }
}

TEST_F(ArtifactsTest, BlobsAreServedToThoseWhoMayReadThem) {
  const json version = PushReady();
  const Client stranger = service_.As(Role::kPublisher, {"other"});
  const Client node = service_.As(Role::kNode, {"acme"});
  const std::string exact = Sha256Text(TensorOf(fine_[1].second, "lm_head.weight"));
  const std::string shared = Sha256Text(TensorOf(base_[1].second, "lm_head.weight"));
  for (const json& theirs : {version["digest"], version["manifest_digest"], json(exact)}) {
    for (const Client& reader : {publisher_, node, service_.admin()}) {
      const Reply blob = reader.Get(Blob(theirs));
      ASSERT_EQ(blob.status, 200) << theirs;
      EXPECT_EQ(Sha256Text(blob.body), theirs);
      EXPECT_EQ(blob.Header("cache-control"), kImmutable);
      EXPECT_EQ(blob.Header("etag"), '"' + theirs.get<std::string>() + '"');
    }
    EXPECT_EQ(stranger.Get(Blob(theirs)).status, 404) << theirs;
    EXPECT_EQ(service_.As(Role::kAuditor).Get(Blob(theirs)).status, 404) << theirs;
  }
  EXPECT_EQ(stranger.Get(Blob(shared)).status, 200);  // a base's
  EXPECT_EQ(stranger.Get(Blob(version["base_digest"])).status, 200);
  EXPECT_EQ(publisher_.Get(Blob(Sha256Text("not stored"))).Code(), "unknown_object");
  EXPECT_EQ(service_.admin().Get(Blob(Sha256Text("not stored"))).Code(), "unknown_object");
  EXPECT_EQ(publisher_.Get("/v1/blobs/sha256:zz").status, 400);
  EXPECT_EQ(publisher_.Get(Blob(version["digest"]), {{"Range", "bytes=0-9"}}).body.size(), 10u);
}

TEST_F(ArtifactsTest, ADeletedVersionsBlobsAreOutOfReach) {
  PushReady();
  fine_ = MakeSmall({.seed = 2});
  const json second = PushReady();
  ASSERT_EQ(publisher_.Get(Blob(second["digest"])).status, 200);
  ASSERT_EQ(publisher_.Delete("/v1/tenants/acme/models/chat/versions/2").status, 204);
  EXPECT_EQ(publisher_.Get(Blob(second["digest"])).status, 404);
}

TEST_F(ArtifactsTest, EverythingReadsTheSameAfterARestart) {
  PushReady();
  const std::string delta = Get("delta").body;
  const std::string rebuilt = Get("checkpoint/model.safetensors").body;
  service_.Restart();
  const Client client(service_.port(), publisher_.token());
  EXPECT_TRUE(client.Get(kVersion + std::string("/delta")).body == delta);
  EXPECT_TRUE(client.Get(kVersion + std::string("/checkpoint/model.safetensors")).body == rebuilt);
}

TEST_F(ArtifactsTest, TheTinyLlamasComeBack) {
  CreateBase(service_.admin(), "tiny", TinyLlama("base"));
  const Files kjv = TinyLlama("kjv");
  const json version =
      WaitForVersion(publisher_, Push(publisher_, "/v1/tenants/acme/models/kjv", "tiny", kjv));
  ASSERT_EQ(version["state"], "ready") << version;
  EXPECT_GT(version["ratio"], 8.0);
  EXPECT_LT(version["linear"]["bits_per_weight"], 1.35);  // scales of 192-wide matrices included
  for (const auto& [path, bytes] : kjv) {
    const Reply exact = publisher_.Get("/v1/tenants/acme/models/kjv/versions/1/checkpoint/" + path +
                                       "?fidelity=exact");
    EXPECT_TRUE(exact.body == bytes) << path;
  }
}

}  // namespace
}  // namespace signum::test
