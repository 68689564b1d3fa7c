#include "client/node/serve/base_store.h"

#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <nlohmann/json.hpp>

#include "server/http/server.h"
#include "storage/base/file.h"
#include "tests/support/result_matchers.h"
#include "tests/support/temp_dir.h"

// Bases on a node's disk, against a registry that has one.

namespace signum::client {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const std::string kFolder = std::string(SIGNUM_TEST_DATA) + "/tiny-llama/base";

class BaseStoreTest : public testing::Test {
 protected:
  BaseStoreTest() {
    for (const auto& entry : fs::directory_iterator(kFolder)) {
      files_[entry.path().filename()] = ReadFile(entry.path(), UINT64_MAX).value();
    }
    const auto add = [&](const char* path, http::Handler handler) {
      router_.Add({.method = "GET", .pattern = path, .handler = std::move(handler)});
    };
    add("/v1/bases/{base}",
        [this](const auto&, const auto&) { return http::Json(200, Resource().dump()); });
    add("/v1/bases/{base}/files/{path...}", [this](const auto&, const auto& params) {
      ++fetched_;
      http::Response response;
      response.Set("ETag", "\"" + Sha256::Of(AsBytes(files_.at(params[1]))).Hex() + "\"");
      response.body =
          params[1] == spoilt_ ? "?" + files_.at(params[1]).substr(1) : files_.at(params[1]);
      return response;
    });
    http::Server::Hooks hooks;
    hooks.gate = [](auto&&...) { return std::nullopt; };
    hooks.observe = [](const http::AccessRecord&) {};
    http::ServerOptions listen;
    listen.io_threads = 1;
    listen.pool_threads = 2;
    server_ = http::Server::Start(listen, std::move(router_), std::move(hooks)).value();
    RegistryOptions options;
    options.url = "http://127.0.0.1:" + std::to_string(server_->port());
    options.retry = options.patience = {Millis{1}, Millis{1}, 2};
    registry_ = std::make_unique<Registry>(options);
  }

  json Resource() const {
    json listed = json::array();
    for (const auto& [path, bytes] : files_) {
      listed.push_back(
          {{"path", path}, {"size", bytes.size()}, {"sha256", Sha256::Of(AsBytes(bytes)).Text()}});
    }
    return {{"name", "tiny"}, {"digest", named_.Text()}, {"files", listed}};
  }

  Result<std::shared_ptr<const LocalCheckpoint>> Obtain(std::vector<fs::path> local = {}) {
    return BaseStore(dir_ / "bases", std::move(local)).Obtain(*registry_, "tiny", digest_);
  }
  fs::path Cached(const std::string& file) const { return dir_ / "bases" / digest_.Hex() / file; }

  const Digest digest_ = LocalCheckpoint::Open(kFolder, {}).value()->base_digest();
  TempDir dir_;
  std::map<std::string, std::string> files_;
  Digest named_ = digest_;
  std::string spoilt_;
  std::atomic<int> fetched_{0};
  http::Router router_;
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<Registry> registry_;
};

TEST_F(BaseStoreTest, ABaseIsFetchedOnce) {
  const auto base = Obtain();
  ASSERT_THAT(base, Ok());
  EXPECT_EQ((*base)->base_digest(), digest_);
  EXPECT_EQ(fetched_, static_cast<int>(files_.size()));
  EXPECT_EQ(ReadFile(Cached("tokenizer.model"), UINT64_MAX).value(), files_["tokenizer.model"]);
  ASSERT_THAT(Obtain(), Ok());
  EXPECT_EQ(fetched_, static_cast<int>(files_.size()));
}

TEST_F(BaseStoreTest, ALocalFolderIsTakenWhereItIsThatBase) {
  ASSERT_THAT(Obtain({dir_ / "nothing", kFolder}), Ok());
  EXPECT_EQ(fetched_, 0);
  EXPECT_FALSE(fs::exists(dir_ / "bases"));
  ASSERT_THAT(Obtain({std::string(SIGNUM_TEST_DATA) + "/tiny-llama/kjv"}), Ok());  // another one
  EXPECT_GT(fetched_, 0);
}

TEST_F(BaseStoreTest, ADamagedCopyIsFetchedAnew) {
  for (const char* file : {"model.safetensors", "tokenizer.model", "config.json"}) {
    ASSERT_THAT(Obtain(), Ok());
    fetched_ = 0;
    std::fstream(Cached(file), std::ios::in | std::ios::out | std::ios::ate)
            .seekp(-3, std::ios::end)
        << 'Z';
    ASSERT_THAT(Obtain(), Ok()) << file;
    EXPECT_EQ(fetched_, static_cast<int>(files_.size())) << file;
    EXPECT_EQ(ReadFile(Cached(file), UINT64_MAX).value(), files_[file]);
  }
  ASSERT_TRUE(fs::remove(Cached("tokenizer.model")));
  ASSERT_THAT(Obtain(), Ok());
}

TEST_F(BaseStoreTest, AFileThatIsNotWhatIsListedIsRefusedByName) {
  spoilt_ = "tokenizer.model";
  EXPECT_THAT(Obtain(), FailsWith(Errc::kCorrupt, "digest_mismatch", "tokenizer.model"));
  spoilt_.clear();
  EXPECT_THAT(Obtain(), Ok());  // what had come whole is kept
}

TEST_F(BaseStoreTest, AnotherBaseThanTheDeltaNeedsIsRefused) {
  named_ = Sha256::Of(AsBytes("another"));
  EXPECT_THAT(Obtain(), FailsWith(Errc::kCorrupt, "base_mismatch", named_.Text()));
  named_ = digest_;
  // The list is right in itself, the tensors make up another digest.
  files_["model.safetensors"][files_["model.safetensors"].size() - 1] ^= 1;
  EXPECT_THAT(Obtain(), FailsWith(Errc::kCorrupt, "base_mismatch", digest_.Text()));
}

TEST_F(BaseStoreTest, APathOutOfTheFolderIsRefused) {
  files_["../evil"] = "x";
  EXPECT_THAT(Obtain(), FailsWith(Errc::kInvalid, "bad_path", "evil"));
  EXPECT_FALSE(fs::exists(dir_ / "bases" / "evil"));
}

TEST_F(BaseStoreTest, WithoutARegistryTheCopyServes) {
  ASSERT_THAT(Obtain(), Ok());
  server_->Stop(std::chrono::milliseconds{0});
  EXPECT_THAT(Obtain(), Ok());
  fs::remove_all(dir_ / "bases");
  EXPECT_THAT(Obtain(), FailsWith(Errc::kUnavailable, "unreachable", "127.0.0.1"));
}

}  // namespace
}  // namespace signum::client
