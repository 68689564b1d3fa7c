#include "storage/base/name.h"

#include <gtest/gtest.h>

#include "tests/support/result_matchers.h"

namespace signum {
namespace {

TEST(CheckName, TakesTheContractsAlphabet) {
  for (const char* good : {"a", "0", "llama-3.1_8b", "a.b"})
    EXPECT_THAT(CheckName("base", good), Ok());
  EXPECT_THAT(CheckName("base", std::string(63, 'a')), Ok());
  for (const char* bad : {"", "A", ".a", "-a", "_a", "a/b", "a b", "a\n", "\xc3\xa9"}) {
    EXPECT_THAT(CheckName("base", bad), FailsWith(Errc::kInvalid, "bad_name", "base"));
  }
  EXPECT_THAT(CheckName("tenant", std::string(64, 'a')),
              FailsWith(Errc::kInvalid, "bad_name", "tenant"));
}

TEST(CheckFilePath, TakesRelativePaths) {
  for (const char* good : {"config.json", "a/b/c", "..a", "a..", "mod\xc3\xa9le.bin", ".hidden"}) {
    EXPECT_THAT(CheckFilePath(good), Ok());
  }
  EXPECT_THAT(CheckFilePath(std::string(255, 'a')), Ok());
}

TEST(CheckFilePath, RefusesWhatCouldLeaveTheFolder) {
  for (const char* bad :
       {"", "/", "/etc/passwd", "..", "../a", "a/../b", "a/..", ".", "./a", "a/./b", "a//b", "a/",
        "a\\b", "a\nb", "a\x7f", "\xff", "a\xc0\xaf", "\xed\xa0\x80"}) {
    EXPECT_THAT(CheckFilePath(bad), FailsWith(Errc::kInvalid, "bad_path", "path")) << bad;
  }
  EXPECT_THAT(CheckFilePath(std::string_view("a\0b", 3)),
              FailsWith(Errc::kInvalid, "bad_path", ""));
  EXPECT_THAT(CheckFilePath(std::string(256, 'a')), FailsWith(Errc::kInvalid, "bad_path", "255"));
}

TEST(IsUtf8, FollowsTheRfc) {
  for (const char* good : {"", "abc", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
                           "\xee\x80\x80", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(IsUtf8(good)) << good;
  }
  for (const char* bad : {"\x80", "\xc0\x80", "\xc1\xbf", "\xc2", "\xe0\x9f\xbf", "\xed\xa0\x80",
                          "\xef\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
                          "\xe2\x28\xa1", "\xe2\x82\x28", "a\xff"}) {
    EXPECT_FALSE(IsUtf8(bad)) << bad;
  }
}

TEST(Printable, HidesWhatATerminalWouldObey) {
  EXPECT_EQ(Printable("a\x1b[31mb\n\xc3"), "a?[31mb??");
  EXPECT_EQ(Printable(std::string(100, 'x')).size(), 80U);
}

}  // namespace
}  // namespace signum
