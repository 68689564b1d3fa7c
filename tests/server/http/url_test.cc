#include "server/http/url.h"

#include <gtest/gtest.h>

namespace signum::http {
namespace {

using Strings = std::vector<std::string>;

TEST(ParseTarget, TakesAPathApart) {
  const auto target = ParseTarget("/v1/bases/tiny%20llama/files/a%2Bb.json");
  ASSERT_TRUE(target.has_value());
  EXPECT_EQ(target->segments, (Strings{"v1", "bases", "tiny llama", "files", "a+b.json"}));
  EXPECT_EQ(target->path, "/v1/bases/tiny llama/files/a+b.json");
  EXPECT_TRUE(target->query.empty());
  EXPECT_TRUE(ParseTarget("/")->segments.empty());
  EXPECT_EQ(ParseTarget("/a/")->segments, (Strings{"a", ""}));
  EXPECT_EQ(ParseTarget("//a")->segments, (Strings{"", "a"}));
}

TEST(ParseTarget, AnEncodedSlashStaysInItsSegmentWhereItIsTaken) {
  EXPECT_TRUE(ParseTarget("/v1/models/a%2Fb").has_error());
  EXPECT_EQ(ParseTarget("/v1/models/a%2Fb", true)->segments, (Strings{"v1", "models", "a/b"}));
  EXPECT_TRUE(ParseTarget("/v1/%2e%2e/x", true).has_error());
}

TEST(ParseTarget, DecodesTheQueryInOrder) {
  const auto target = ParseTarget("/w?tenant=a&tenant=b+c&since=%31&&flag&x=a=b?/c");
  ASSERT_TRUE(target.has_value());
  const std::vector<std::pair<std::string, std::string>> expected = {
      {"tenant", "a"}, {"tenant", "b c"}, {"since", "1"}, {"flag", ""}, {"x", "a=b?/c"}};
  EXPECT_EQ(target->query, expected);
}

TEST(ParseTarget, TakesAbsoluteFormAndStar) {
  const auto target = ParseTarget("HTTP://registry:8080/v1?a=b");
  ASSERT_TRUE(target.has_value());
  EXPECT_EQ(target->authority, "registry:8080");
  EXPECT_EQ(target->path, "/v1");
  EXPECT_EQ(ParseTarget("http://h")->path, "/");
  EXPECT_EQ(ParseTarget("http://h?x=1")->query.size(), 1U);
  EXPECT_EQ(ParseTarget("*")->path, "*");
}

TEST(ParseTarget, RefusesWhatCouldMeanAnotherPath) {
  const char* bad[] = {"",          "a",         "/a/../b",       "/a/.",
                       "/%2e%2E/b", "/a%2fb",    "/a%00b",        "/a%0Ab",
                       "/a%7f",     "/%",        "/%4",           "/%4g",
                       "/%ff",      "/%c0%af",   "/%ed%a0%80",    "/%f5%80%80%80",
                       "/a#b",      "/a?b=%",    "/a?%00",        "/a?b=%ff",
                       "ftp://h/a", "http:///a", "http://u@h/a",  "h:80",
                       "/a\tb",     "/%e2%82",   "/%f0%80%80%80", "/%80"};
  for (const char* text : bad) {
    const auto target = ParseTarget(text);
    ASSERT_TRUE(target.has_error()) << text;
    EXPECT_EQ(target.error().reason, "bad_target") << text;
  }
}

TEST(ParseTarget, LimitsSegmentsAndParameters) {
  std::string deep;
  for (int i = 0; i < 64; ++i) deep += "/a";
  EXPECT_TRUE(ParseTarget(deep).has_value());
  EXPECT_TRUE(ParseTarget(deep + "/a").has_error());
  std::string wide = "/?a=0";
  for (int i = 1; i < 256; ++i) wide += "&a";
  EXPECT_TRUE(ParseTarget(wide).has_value());
  EXPECT_TRUE(ParseTarget(wide + "&a").has_error());
}

TEST(CleanUtf8, KnowsTheBorders) {
  for (const char* good : {"", "abc", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF",
                           "\xEE\x80\x80", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_TRUE(CleanUtf8(good)) << good;
  }
  for (const char* bad :
       {"\x1F", "\x7F", "\x80", "\xC1\xBF", "\xC2", "\xE0\x9F\xBF", "\xED\xA0\x80",
        "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xE2\x82", "\xFF"}) {
    EXPECT_FALSE(CleanUtf8(bad)) << bad;
  }
}

TEST(ValidHost, TakesNamesAndAddresses) {
  for (const char* good : {"localhost", "127.0.0.1:80", "[::1]:8080", "a-b.c_d"}) {
    EXPECT_TRUE(ValidHost(good)) << good;
  }
  for (const char* bad : {"", "a b", "a/b", "a@b", "a\"b", "a,b"})
    EXPECT_FALSE(ValidHost(bad)) << bad;
  EXPECT_FALSE(ValidHost(std::string(256, 'a')));
}

}  // namespace
}  // namespace signum::http
