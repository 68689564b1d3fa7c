#include "server/http/conditional.h"

#include <gtest/gtest.h>

namespace signum::http {
namespace {

Request With(std::string method, Headers headers) {
  Request request;
  request.method = std::move(method);
  request.headers = std::move(headers);
  return request;
}

TEST(ETagList, ComparesStronglyAndWeakly) {
  const auto strong = [](std::string_view list) {
    return ETagListMatches(list, "\"a\"", Comparison::kStrong);
  };
  const auto weak = [](std::string_view list) {
    return ETagListMatches(list, "\"a\"", Comparison::kWeak);
  };
  EXPECT_TRUE(strong("\"a\""));
  EXPECT_TRUE(strong(" \"b\" ,, \"a\" "));
  EXPECT_TRUE(strong("*"));
  EXPECT_TRUE(strong("\"x,y\", \"a\""));
  EXPECT_FALSE(strong("W/\"a\""));
  EXPECT_TRUE(weak("W/\"a\""));
  for (const char* bad : {"", "a", "\"a", "\"a\" \"b\"", "\"b\"", "\"a\", b", "w/\"a\"", "\"A\""}) {
    EXPECT_FALSE(weak(bad)) << bad;
  }
}

TEST(Conditions, FollowRfc9110) {
  using V = Verdict;
  const auto weigh = [](std::string method, Headers headers, std::optional<std::string_view> etag) {
    return EvaluateConditions(With(std::move(method), std::move(headers)), etag);
  };
  EXPECT_EQ(weigh("GET", {}, "\"a\""), V::kProceed);
  EXPECT_EQ(weigh("PUT", {{"if-match", "\"a\""}}, "\"a\""), V::kProceed);
  EXPECT_EQ(weigh("PUT", {{"if-match", "\"b\""}}, "\"a\""), V::kPreconditionFailed);
  EXPECT_EQ(weigh("PUT", {{"if-match", "*"}}, std::nullopt), V::kPreconditionFailed);
  EXPECT_EQ(weigh("PUT", {{"if-match", "*"}}, "\"a\""), V::kProceed);
  EXPECT_EQ(weigh("PUT", {{"if-match", "W/\"a\""}}, "\"a\""), V::kPreconditionFailed);
  EXPECT_EQ(weigh("PUT", {{"if-none-match", "*"}}, "\"a\""), V::kPreconditionFailed);
  EXPECT_EQ(weigh("PUT", {{"if-none-match", "*"}}, std::nullopt), V::kProceed);
  EXPECT_EQ(weigh("GET", {{"if-none-match", "W/\"a\""}}, "\"a\""), V::kNotModified);
  EXPECT_EQ(weigh("HEAD", {{"if-none-match", "\"a\""}}, "\"a\""), V::kNotModified);
  EXPECT_EQ(weigh("GET", {{"if-none-match", "\"b\""}}, "\"a\""), V::kProceed);
  EXPECT_EQ(weigh("GET", {{"if-match", "\"b\""}, {"if-none-match", "\"a\""}}, "\"a\""),
            V::kPreconditionFailed);
}

std::string Show(const RangeChoice& choice) {
  if (std::holds_alternative<WholeBody>(choice)) return "whole";
  if (std::holds_alternative<Unsatisfiable>(choice)) return "416";
  const auto& range = std::get<ByteRange>(choice);
  return std::to_string(range.offset) + "+" + std::to_string(range.length);
}

TEST(Range, IsParsed) {
  const std::pair<const char*, const char*> cases[] = {
      {"bytes=0-0", "0+1"},
      {"bytes=0-99", "0+100"},
      {"bytes=0-", "0+100"},
      {"bytes=99-", "99+1"},
      {"bytes=100-", "416"},
      {"bytes=50-1000", "50+50"},
      {"bytes=-1", "99+1"},
      {"bytes=-1000", "0+100"},
      {"bytes=-0", "416"},
      {"Bytes=1-2", "1+2"},
      {"bytes=99999999999999999999-", "416"},
      {"bytes=1-99999999999999999999", "1+99"},
      {"bytes=18446744073709551615-18446744073709551615", "416"},
      {"bytes=0-18446744073709551615", "0+100"},
      {"bytes=-99999999999999999999", "0+100"},
      {"bytes=0-1,5-6", "whole"},
      {"bytes=5-4", "whole"},
      {"bytes=-", "whole"},
      {"bytes=", "whole"},
      {"bytes=a-b", "whole"},
      {"bytes=1", "whole"},
      {"bytes=1-2x", "whole"},
      {"bytes=+1-2", "whole"},
      {"bytes=--2", "whole"},
      {"lines=1-2", "whole"},
      {"", "whole"},
  };
  for (const auto& [header, expected] : cases)
    EXPECT_EQ(Show(ParseRange(header, 100)), expected) << header;
  EXPECT_EQ(Show(ParseRange("bytes=0-", 0)), "416");
  EXPECT_EQ(Show(ParseRange("bytes=-5", 0)), "416");
}

TEST(Range, HoldsOnlyForGetAndAStrongIfRange) {
  const auto choose = [](std::string method, std::string condition) {
    Headers headers = {{"range", "bytes=1-2"}};
    if (!condition.empty()) headers.emplace_back("if-range", std::move(condition));
    return Show(SelectRange(With(std::move(method), std::move(headers)), "\"a\"", 100));
  };
  EXPECT_EQ(choose("GET", ""), "1+2");
  EXPECT_EQ(choose("HEAD", ""), "whole");
  EXPECT_EQ(choose("GET", "\"a\""), "1+2");
  EXPECT_EQ(choose("GET", "\"b\""), "whole");
  EXPECT_EQ(choose("GET", "W/\"a\""), "whole");
  EXPECT_EQ(choose("GET", "Mon, 23 Nov 2026 17:00:00 GMT"), "whole");
}

}  // namespace
}  // namespace signum::http
