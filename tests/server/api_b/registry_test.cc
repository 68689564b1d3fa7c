#include "server/registry.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "storage/base/file.h"
#include "tests/support/temp_dir.h"

namespace signum::test {
namespace {

class RegistryOpen : public testing::Test {
 protected:
  Result<std::unique_ptr<Registry>> Open() {
    return Registry::Open(data_, UploadLimits{}, clock_, true);
  }
  std::string TokenFile() { return ReadFile(data_ / "admin.token", 1000).value(); }

  TempDir directory_;
  const std::filesystem::path data_ = directory_ / "data";
  const SystemClock clock_{};
};

mode_t ModeOf(const std::filesystem::path& path) {
  struct stat status {};
  EXPECT_EQ(stat(path.c_str(), &status), 0) << path;
  return status.st_mode & 0777;
}

TEST_F(RegistryOpen, TheFirstStartWritesATokenThatOnlyItsOwnerReads) {
  const auto registry = Open().value();
  EXPECT_EQ(registry->EnsureAdminToken().value(), data_ / "admin.token");
  EXPECT_EQ(ModeOf(data_ / "admin.token"), 0600u);
  EXPECT_EQ(ModeOf(data_ / "signing.key"), 0600u);
  EXPECT_EQ(ModeOf(data_), 0700u);
  const std::string line = TokenFile();
  ASSERT_EQ(line.back(), '\n');
  const auto token = registry->app().accounts.Authenticate(line.substr(0, line.size() - 1));
  EXPECT_EQ(token.value().role, Role::kAdmin);
}

TEST_F(RegistryOpen, LaterStartsLeaveTokensAlone) {
  static_cast<void>(Open().value()->EnsureAdminToken().value());
  std::filesystem::remove(data_ / "admin.token");  // as a careful admin does
  const auto again = Open().value();
  EXPECT_FALSE(again->EnsureAdminToken().value().has_value());
  EXPECT_EQ(again->app().accounts.ListTokens().value().size(), 1u);
}

TEST_F(RegistryOpen, AFirstStartThatWasCutShortIsMadeGood) {
  {
    const auto cut = Open().value();
    ASSERT_TRUE(WriteFileAtomically(data_ / "admin.token.unfinished", {}).has_value());
    cut->app().accounts.CreateToken(Role::kAdmin, {}, "first start", {}).value();
  }
  const auto registry = Open().value();
  EXPECT_TRUE(registry->EnsureAdminToken().value().has_value());
  EXPECT_EQ(registry->app().accounts.ListTokens().value().size(), 1u) << "the lost one is revoked";
  EXPECT_FALSE(TokenFile().empty());
  EXPECT_FALSE(registry->EnsureAdminToken().value().has_value());
}

TEST_F(RegistryOpen, OneProcessADirectory) {
  const auto first = Open().value();
  const auto second = Open();
  ASSERT_TRUE(second.has_error());
  EXPECT_EQ(second.error().reason, "data_in_use");
  EXPECT_NE(second.error().message.find(data_.string()), std::string::npos);
}

TEST_F(RegistryOpen, SaysWhatItCannotMake) {
  ASSERT_TRUE(WriteFileAtomically(data_, AsBytes("a file")).has_value());
  const auto registry = Open();
  ASSERT_TRUE(registry.has_error());
  EXPECT_NE(registry.error().message.find(data_.string()), std::string::npos);
}

}  // namespace
}  // namespace signum::test
