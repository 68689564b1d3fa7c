// Versions that are distilled, measured and held against a gate.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/server/models.h"

namespace signum::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr const char* kModel = "/v1/tenants/acme/models/m";

class DistilledVersions : public testing::Test {
 protected:
  void SetUp() override { CreateBase(service_.admin(), "tiny", TinyLlama("base")); }

  json PushKjv(const json& extra) {
    return WaitForVersion(service_.admin(),
                          Push(service_.admin(), kModel, "tiny", TinyLlama("kjv"), extra));
  }
  json Manifest(uint64_t version) {
    const Reply reply = service_.admin().Get(std::string(kModel) + "/versions/" +
                                             std::to_string(version) + "/manifest");
    EXPECT_EQ(reply.status, 200);
    return reply.Json()["manifest"];
  }

  Service service_;
  const json few_steps_ = {{"method", "distill"},
                           {"distill", {{"steps", 3}, {"rows", 24}, {"seed", 7}}}};
};

TEST_F(DistilledVersions, SayWhatWasLost) {
  const json version = PushKjv(few_steps_);
  ASSERT_EQ(version["state"], "ready") << version;
  EXPECT_EQ(version["method"], "distill");
  EXPECT_EQ(
      version["distill"],
      (json{{"steps", 3}, {"rows", 24}, {"seed", 7}, {"loss", "mse"}, {"calibration", "self"}}));
  const json& fidelity = version["fidelity"];
  EXPECT_GT(fidelity["kl"].get<double>(), 0);
  EXPECT_LT(fidelity["kl"].get<double>(), 0.1);
  EXPECT_GT(fidelity["top1"].get<double>(), 0.8);
  EXPECT_GT(fidelity["perplexity"]["base"].get<double>(),
            fidelity["perplexity"]["delta"].get<double>());
  EXPECT_EQ(version["made"]["method"], "distill");
  EXPECT_EQ(version["made"]["calibration"]["source"], "self");
  const json manifest = Manifest(version["version"]);
  EXPECT_EQ(manifest["fidelity"], fidelity);
  EXPECT_EQ(manifest["calibration"], version["made"]["calibration"]);
  EXPECT_EQ(manifest["method"], "distill");
}

TEST_F(DistilledVersions, AreReadWithThePublishersText) {
  std::string text;
  for (int i = 0; i < 400; ++i) text += "And it came to pass in those days that the king said. ";
  json options = few_steps_;
  options["distill"]["calibration"] = {{"text", text}};
  const json version = PushKjv(options);
  ASSERT_EQ(version["state"], "ready") << version;
  EXPECT_EQ(version["made"]["calibration"]["source"], "given");
  EXPECT_EQ(version["distill"]["calibration"], "text") << "not the text itself";
  options["distill"]["calibration"] = {{"text", "too short"}};
  const json refused = PushKjv(options);
  EXPECT_EQ(refused["state"], "failed");
  EXPECT_EQ(refused["error"]["code"], "no_tokens");
  options["distill"]["calibration"] = {{"tokens", "1 2 3\n4 5 4096\n"}};
  const json outside = PushKjv(options);
  EXPECT_EQ(outside["error"]["code"], "token_out_of_range");
  EXPECT_THAT(outside["error"]["message"], HasSubstr("id 4096"));
}

TEST_F(DistilledVersions, AreRejectedByAGateAndLeaveLiveAlone) {
  const json first = PushKjv({{"method", "none"}});
  json options = few_steps_;
  options["gate"] = {{"max_kl", 1e-6}};
  const json rejected = PushKjv(options);
  EXPECT_EQ(rejected["state"], "rejected");
  EXPECT_EQ(rejected["error"]["code"], "gate_failed");
  EXPECT_THAT(rejected["error"]["message"], HasSubstr("max_kl"));
  EXPECT_EQ(rejected["gate"], options["gate"]);
  EXPECT_EQ(rejected["made"]["embeddings"], "exact") << "tried before it was rejected";
  const json latest = service_.admin().Get(std::string(kModel) + "/versions/latest").Json();
  EXPECT_EQ(latest["version"], first["version"]);
  const Reply promoted = service_.admin().Put(std::string(kModel) + "/aliases/live",
                                              {{"version", rejected["version"]}});
  EXPECT_EQ(promoted.status, 409);
  const Reply exact = service_.admin().Get(std::string(kModel) + "/versions/" +
                                           std::to_string(rejected["version"].get<int>()) +
                                           "/checkpoint/model.safetensors?fidelity=exact");
  EXPECT_EQ(exact.status, 200) << "the upload is kept";
}

TEST_F(DistilledVersions, PassAGateThatTheyReach) {
  const json version = PushKjv(
      {{"method", "layerwise"}, {"distill", {{"rows", 24}}}, {"gate", {{"min_top1", 0.5}}}});
  EXPECT_EQ(version["state"], "ready") << version;
  EXPECT_EQ(version["made"]["embeddings"], "onebit");
}

TEST(UndistilledVersions, SayWhy) {
  Service service;
  Files base = MakeSmall({});
  Files fine = MakeSmall({.seed = 1});
  for (Files* files : {&base, &fine}) {
    json config = json::parse((*files)[0].second);
    config["hidden_act"] = "gelu";
    (*files)[0].second = config.dump();
  }
  CreateBase(service.admin(), "small", base);
  const json version = WaitForVersion(
      service.admin(), Push(service.admin(), kModel, "small", fine, {{"method", "distill"}}));
  ASSERT_EQ(version["state"], "ready") << version;
  EXPECT_EQ(version["made"]["method"], "none");
  EXPECT_THAT(version["made"]["note"], HasSubstr("gelu"));
  const json gated = WaitForVersion(
      service.admin(), Push(service.admin(), kModel, "small", fine, {{"gate", {{"max_kl", 1}}}}));
  EXPECT_EQ(gated["state"], "failed");
  EXPECT_EQ(gated["error"]["code"], "unknown_architecture");
}

}  // namespace
}  // namespace signum::test
