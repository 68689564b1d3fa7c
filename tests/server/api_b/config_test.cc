#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <fstream>

#include "server/config.h"
#include "server/descriptors.h"
#include "tests/support/temp_dir.h"

namespace signum::test {
namespace {

std::variant<Config, UsageExit> Parse(std::vector<const char*> flags) {
  flags.insert(flags.begin(), "signumd");
  return ParseConfig(static_cast<int>(flags.size()), flags.data());
}

Config Good(std::vector<const char*> flags) {
  auto parsed = Parse(std::move(flags));
  if (const auto* usage = std::get_if<UsageExit>(&parsed)) ADD_FAILURE() << usage->text;
  return std::get<Config>(std::move(parsed));
}

// Wrong usage is exit 2 with one line that names what is wrong.
void ExpectUsage(std::vector<const char*> flags, const std::string& named) {
  const auto parsed = Parse(std::move(flags));
  ASSERT_TRUE(std::holds_alternative<UsageExit>(parsed)) << named;
  const auto& usage = std::get<UsageExit>(parsed);
  EXPECT_EQ(usage.code, 2);
  EXPECT_NE(usage.text.find(named), std::string::npos) << usage.text;
  EXPECT_EQ(std::count(usage.text.begin(), usage.text.end(), '\n'), 1) << usage.text;
}

TEST(Config, ConnectionsLeaveDescriptorsToTheStore) {
  EXPECT_EQ(Good({"--data", "d"}).max_connections, 20'000u);
  EXPECT_EQ(Good({"--data", "d", "--max-connections", "9"}).max_connections, 9u);
  ExpectUsage({"--data", "d", "--max-connections", "0"}, "--max-connections");
  EXPECT_EQ(DescriptorsForConnections(1024), 256u) << "and as many that are told 503, at most";
  EXPECT_EQ(DescriptorsForConnections(4096), 2048u);
  EXPECT_EQ(DescriptorsForConnections(65536), 63488u);
}

TEST(Config, Defaults) {
  const Config config = Good({"--data", "d"});
  EXPECT_EQ(config.data, "d");
  EXPECT_EQ(config.address, "127.0.0.1");
  EXPECT_EQ(config.port, 8080);
  EXPECT_TRUE(config.auth && config.api && config.worker);
  EXPECT_EQ(config.log, LogFormat::kJson);
  EXPECT_EQ(config.uploads.expire_after_micros, 24ll * 3600 * 1'000'000);
}

TEST(Config, EverySizeTakesDecimalAndBinarySuffixes) {
  const auto of = [](const char* size) {
    return Good({"--data", "d", "--max-upload", size, "--keep-free", size, "--quota-bytes", size,
                 "--scrub-rate", size});
  };
  for (const auto& [text, bytes] : {std::pair<const char*, uint64_t>{"3GB", 3'000'000'000},
                                    {"3gb", 3'000'000'000},
                                    {"3GiB", 3ull << 30},
                                    {"12", 12}}) {
    const Config config = of(text);
    EXPECT_EQ(config.uploads.max_bytes, bytes) << text;
    EXPECT_EQ(config.uploads.keep_free_bytes, bytes) << text;
    EXPECT_EQ(config.quota.max_bytes, bytes) << text;
    EXPECT_EQ(config.scrub_rate, bytes) << text;
  }
}

TEST(Config, Flags) {
  const Config config =
      Good({"--data", "d", "--listen", "[::1]:0", "--role", "api", "--no-auth", "--log", "text",
            "--upload-expiry", "90s", "--max-upload", "2GiB", "--workers", "3"});
  EXPECT_EQ(config.address, "::1");
  EXPECT_EQ(config.port, 0);
  EXPECT_FALSE(config.auth);
  EXPECT_TRUE(config.api);
  EXPECT_FALSE(config.worker);
  EXPECT_EQ(config.log, LogFormat::kText);
  EXPECT_EQ(config.uploads.expire_after_micros, 90'000'000);
  EXPECT_EQ(config.uploads.max_bytes, 2ull << 30);
  EXPECT_EQ(config.workers, 3);
  EXPECT_EQ(Good({"--data", "d", "--device", "cuda:1"}).device, "cuda:1");
  EXPECT_EQ(Good({"--data", "d", "--listen", ":80"}).address, "0.0.0.0");
  EXPECT_EQ(Good({"--data", "d", "--listen", "localhost:80"}).address, "127.0.0.1");
}

TEST(Config, FileEnvironmentAndFlagsInThisOrder) {
  const TempDir directory;
  const std::string file = directory.path() / "signumd.toml";
  std::ofstream(file) << "data = \"from-file\"\nlisten = \"127.0.0.1:1\"\nworkers = 2\n";
  EXPECT_EQ(Good({"--config", file.c_str()}).data, "from-file");
  setenv("SIGNUM_LISTEN", "127.0.0.1:2", 1);
  const Config config = Good({"--config", file.c_str(), "--workers", "5"});
  const Config flag = Good({"--config", file.c_str(), "--listen", "127.0.0.1:3"});
  unsetenv("SIGNUM_LISTEN");
  EXPECT_EQ(config.port, 2);
  EXPECT_EQ(config.workers, 5);
  EXPECT_EQ(flag.port, 3);
}

TEST(Config, WrongUsage) {
  ExpectUsage({}, "--data");
  ExpectUsage({"--data", "d", "--colour", "red"}, "--colour");
  ExpectUsage({"--data", "d", "--listen", "8080"}, "--listen");
  ExpectUsage({"--data", "d", "--listen", "example.com:80"}, "--listen");
  ExpectUsage({"--data", "d", "--listen", "127.0.0.1:99999"}, "--listen");
  ExpectUsage({"--data", "d", "--listen", "::1:80"}, "--listen");
  ExpectUsage({"--data", "d", "--role", "king"}, "--role");
  ExpectUsage({"--data", "d", "--log", "xml"}, "log format");
  ExpectUsage({"--data", "d", "--tls-cert", "c"}, "--tls-key");
  ExpectUsage({"--data", "d", "--workers", "0"}, "--workers");
  for (const char* device : {"", "tpu", "cudax", "cuda:", "cuda:x", "cuda:0,1"}) {
    ExpectUsage({"--data", "d", "--device", device}, "--device");
  }
  ExpectUsage({"--data", "d", "--upload-expiry", "soon"}, "--upload-expiry");
  ExpectUsage({"--data", "d", "--config", "/nonexistent/file"}, "/nonexistent/file");
}

TEST(Config, Quotas) {
  const Config defaults = Good({"--data", "d"});
  EXPECT_EQ(defaults.quota, Quota());
  EXPECT_EQ(defaults.auth_failures, 0);
  EXPECT_FALSE(defaults.read_only);
  const Config config = Good({"--data", "d", "--quota-bytes", "2GiB", "--quota-versions", "7",
                              "--quota-jobs", "3", "--quota-requests", "2.5", "--quota-burst", "9",
                              "--auth-failures", "5", "--read-only"});
  EXPECT_EQ(config.quota, (Quota{2ull << 30, 7, 3, 2.5, 9}));
  EXPECT_EQ(config.auth_failures, 5);
  EXPECT_TRUE(config.read_only);
  ExpectUsage({"--data", "d", "--quota-bytes", "-1"}, "--quota-bytes");
  ExpectUsage({"--data", "d", "--quota-jobs", "few"}, "--quota-jobs");
  ExpectUsage({"--data", "d", "--quota-versions", "-1"}, "--quota-versions");
  ExpectUsage({"--data", "d", "--quota-requests", "-1"}, "--quota-requests");
  ExpectUsage({"--data", "d", "--quota-requests", "1e9"}, "--quota-requests");
}

TEST(Config, Upkeep) {
  const Config defaults = Good({"--data", "d"});
  EXPECT_EQ(defaults.gc_every, std::chrono::minutes(10));
  EXPECT_EQ(defaults.gc_grace, std::chrono::hours(1));
  EXPECT_TRUE(defaults.backup_dir.empty());
  EXPECT_FALSE(defaults.restore);
  const Config config =
      Good({"--data", "d", "--gc-every", "off", "--gc-grace", "2h", "--scrub-every", "30d",
            "--scrub-rate", "50MB", "--backup-dir", "b", "--restore", "r", "--at", "7"});
  EXPECT_EQ(config.gc_every.count(), 0);
  EXPECT_EQ(config.gc_grace, std::chrono::hours(2));
  EXPECT_EQ(config.scrub_every, std::chrono::hours(24 * 30));
  EXPECT_EQ(config.scrub_rate, 50'000'000);
  EXPECT_EQ(config.backup_dir, "b");
  EXPECT_EQ(config.restore, "r");
  EXPECT_EQ(config.restore_at, 7);
  ExpectUsage({"--data", "d", "--gc-grace", "off"}, "--gc-grace");
  ExpectUsage({"--data", "d", "--scrub-every", "often"}, "--scrub-every");
  ExpectUsage({"--data", "d", "--at", "7"}, "--restore");
  ExpectUsage({"--data", "d", "--restore", "r", "--at", "x"}, "--at");
}

TEST(Config, NoAuthNeedsLoopback) {
  ExpectUsage({"--data", "d", "--no-auth", "--listen", "0.0.0.0:80"}, "--no-auth");
  ExpectUsage({"--data", "d", "--no-auth", "--listen", "[::]:80"}, "--no-auth");
  EXPECT_FALSE(Good({"--data", "d", "--no-auth", "--listen", "127.8.9.1:80"}).auth);
}

TEST(Config, AnUnknownKeyInTheFileIsAnError) {
  const TempDir directory;
  const std::string file = directory.path() / "signumd.toml";
  std::ofstream(file) << "data = \"d\"\nlisen = \"127.0.0.1:1\"\n";
  ExpectUsage({"--config", file.c_str()}, "lisen");
}

TEST(Config, HelpAndVersionEndWell) {
  for (const char* flag : {"--help", "--version"}) {
    const auto usage = std::get<UsageExit>(Parse({flag}));
    EXPECT_EQ(usage.code, 0);
    EXPECT_NE(usage.text.find("signumd"), std::string::npos);
  }
}

}  // namespace
}  // namespace signum::test
