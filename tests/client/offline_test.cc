#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "client/commands/command.h"
#include "client/local_checkpoint.h"
#include "storage/base/file.h"
#include "storage/format/manifest.h"
#include "tests/support/result_matchers.h"
#include "tests/support/temp_dir.h"

// diff, apply, inspect and verify on the small Llama family.

namespace signum::client {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

const std::string kModels = std::string(SIGNUM_TEST_DATA) + "/tiny-llama/";

struct Outcome {
  int code;
  std::string out, err;
};

Outcome RunSignum(const std::vector<std::string>& arguments) {
  std::vector<const char*> argv = {"signum"};
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Outcome outcome{RunCommandLine(static_cast<int>(argv.size()), argv.data()), {}, {}};
  outcome.out = testing::internal::GetCapturedStdout();
  outcome.err = testing::internal::GetCapturedStderr();
  return outcome;
}

std::string Contents(const std::filesystem::path& path) {
  return ReadFile(path, UINT64_MAX).value();
}

class OfflineTest : public testing::Test {
 protected:
  std::string Delta(const std::string& fine, std::vector<std::string> more = {}) {
    const std::string path = (dir_ / (fine + ".safetensors")).string();
    std::vector<std::string> arguments = {"diff", kModels + "base", kModels + fine, "-o",
                                          path,   "--method",       "none"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = RunSignum(arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return path;
  }

  // A manifest as the registry would sign it for the delta at `path`.
  void WriteManifest(const std::string& path, const SigningKey& key, const std::string& to) {
    const std::string bytes = Contents(path);
    Manifest manifest;
    manifest.tenant = "acme";
    manifest.model = "chat";
    manifest.version = 1;
    manifest.base = "tiny";
    manifest.base_digest = OpenDeltaFile(path).value()->header().base;
    manifest.delta_size = bytes.size();
    manifest.delta_digest = Sha256::Of(AsBytes(bytes));
    for (size_t i = 0; i < bytes.size(); i += kChunkBytes) {
      manifest.chunks.push_back(
          Sha256::Of(AsBytes(std::string_view(bytes).substr(i, kChunkBytes))));
    }
    manifest.codec = "sign1";
    manifest.scales = "row+col";
    manifest.embeddings = "onebit";
    manifest.method = "none";
    manifest.architecture = "LlamaForCausalLM";
    manifest.creator = "test";
    manifest.created = "2026-01-01T00:00:00.000000Z";
    ASSERT_THAT(WriteFileAtomically(to, AsBytes(manifest.Sign(key))), Ok());
  }

  void Flip(const std::string& path, size_t at) {
    std::string bytes = Contents(path);
    bytes.at(at) = static_cast<char>(bytes.at(at) ^ 4);
    std::ofstream(path, std::ios::binary) << bytes;
  }

  TempDir dir_;
};

TEST_F(OfflineTest, ApplyGivesBackTheNamesSizesAndSmallFilesOfEveryFineTune) {
  for (const std::string fine : {"kjv", "pysrc", "sqlite"}) {
    const std::string delta = Delta(fine);
    EXPECT_LT(std::filesystem::file_size(delta) * 5,
              std::filesystem::file_size(kModels + fine + "/model.safetensors"));
    const std::string output = (dir_ / (fine + "-rebuilt")).string();
    const Outcome applied = RunSignum({"apply", kModels + "base", delta, "-o", output});
    ASSERT_EQ(applied.code, 0) << applied.err;
    for (const auto& entry : std::filesystem::directory_iterator(kModels + fine)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with(".")) continue;
      const std::string rebuilt = Contents(output + "/" + name);
      EXPECT_EQ(rebuilt.size(), entry.file_size()) << name;
      if (name != "model.safetensors") {
        EXPECT_EQ(rebuilt, Contents(entry.path())) << name;
      }
    }
    EXPECT_NE(Contents(output + "/model.safetensors"),
              Contents(kModels + fine + "/model.safetensors"));
  }
}

TEST_F(OfflineTest, RawDeltaGivesBackTheUploadBitForBit) {
  const std::string delta = Delta("kjv", {"--codec", "raw", "--embeddings", "exact"});
  const std::string output = (dir_ / "exact").string();
  ASSERT_EQ(RunSignum({"apply", kModels + "base", delta, "-o", output}).code, 0);
  EXPECT_EQ(Contents(output + "/model.safetensors"), Contents(kModels + "kjv/model.safetensors"));
}

TEST_F(OfflineTest, DiffIsDeterministicAndReportsWhatItWrote) {
  const std::string first = Contents(Delta("pysrc"));
  const Outcome again = RunSignum({"diff", kModels + "base", kModels + "pysrc", "-o",
                                   (dir_ / "again.safetensors").string(), "--threads", "1",
                                   "--method", "none", "--json"});
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(Contents(dir_ / "again.safetensors"), first);
  const json report = json::parse(again.out);
  EXPECT_EQ(report["size"], first.size());
  EXPECT_EQ(report["digest"], Sha256::Of(AsBytes(first)).Text());
  EXPECT_GT(report["ratio"].get<double>(), 5);
}

TEST_F(OfflineTest, DiffRefusesAnotherArchitectureAndAMissingBase) {
  std::filesystem::copy(kModels + "kjv", dir_ / "other", std::filesystem::copy_options::recursive);
  std::string config = Contents(dir_ / "other" / "config.json");
  const size_t at = config.find("\"hidden_size\": 192");
  ASSERT_NE(at, std::string::npos);
  config.replace(at, 18, "\"hidden_size\": 193");
  std::filesystem::remove(dir_ / "other" / "config.json");
  std::ofstream(dir_ / "other" / "config.json") << config;
  const std::string output = (dir_ / "d.safetensors").string();
  const Outcome outcome =
      RunSignum({"diff", kModels + "base", (dir_ / "other").string(), "-o", output});
  EXPECT_EQ(outcome.code, 4);
  EXPECT_THAT(outcome.err, HasSubstr("hidden_size"));
  EXPECT_EQ(RunSignum({"diff", (dir_ / "none").string(), kModels + "kjv", "-o", output}).code, 3);
  EXPECT_FALSE(std::filesystem::exists(output));
}

TEST_F(OfflineTest, ApplyRefusesAnotherBase) {
  const std::string delta = Delta("kjv");
  const Outcome outcome =
      RunSignum({"apply", kModels + "sqlite", delta, "-o", (dir_ / "out").string()});
  EXPECT_EQ(outcome.code, 5);
  EXPECT_THAT(outcome.err, HasSubstr("base_mismatch"));
}

TEST_F(OfflineTest, VerifyFindsAFlippedBitAnywhere) {
  const std::string delta = Delta("kjv");
  const SigningKey key = SigningKey::Generate().value();
  const std::string public_key = key.public_key().ToBase64();
  WriteManifest(delta, key, (dir_ / "kjv.manifest.json").string());
  const Outcome good = RunSignum({"verify", delta, "--key", public_key});
  EXPECT_EQ(good.code, 0) << good.err;
  EXPECT_THAT(good.out, HasSubstr("signature good"));
  const std::string other = SigningKey::Generate().value().public_key().ToBase64();
  EXPECT_EQ(RunSignum({"verify", delta, "--key", other}).code, 5);
  const size_t size = std::filesystem::file_size(delta);
  for (const size_t at : {size_t{9}, size / 2, size - 1}) {
    Flip(delta, at);
    const Outcome bad = RunSignum({"verify", delta});
    EXPECT_EQ(bad.code, 5) << at;
    EXPECT_THAT(bad.err, HasSubstr("chunk " + std::to_string(at / kChunkBytes)));
    Flip(delta, at);
  }
  EXPECT_EQ(RunSignum({"verify", delta}).code, 0);
}

TEST_F(OfflineTest, VerifyWithoutManifestSaysWhatItCannotKnow) {
  const std::string delta = Delta("kjv");
  const Outcome outcome = RunSignum({"verify", delta});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("no manifest"));
  std::filesystem::resize_file(delta, std::filesystem::file_size(delta) - 10);
  EXPECT_EQ(RunSignum({"verify", delta}).code, 5);
  EXPECT_EQ(RunSignum({"verify", delta, "--key", "AAAA"}).code, 2);
}

TEST_F(OfflineTest, InspectShowsCodecsPartsAndFiles) {
  const std::string delta = Delta("kjv");
  const Outcome text = RunSignum({"inspect", delta});
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("sign1"));
  const Outcome outcome = RunSignum({"inspect", delta, "--json"});
  const json document = json::parse(outcome.out);
  EXPECT_EQ(document["format"], "signum.delta");
  EXPECT_EQ(document["data_begin"].get<uint64_t>() % 256, 0u);
  EXPECT_EQ(document["files"].size(), 6u);
  EXPECT_EQ(RunSignum({"inspect", kModels + "kjv/model.safetensors"}).code, 5);  // not a delta
}

}  // namespace
}  // namespace signum::client
