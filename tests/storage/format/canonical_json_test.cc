#include "storage/format/canonical_json.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/support/result_matchers.h"

namespace signum {
namespace {

std::string Canonical(std::string_view text) { return CanonicalJson(ParseJson(text).value()); }

// RFC 8785, appendix B.
TEST(CanonicalJson, PrintsTheNumbersOfTheRfc) {
  const std::pair<uint64_t, const char*> numbers[] = {
      {0x0000000000000000, "0"},
      {0x8000000000000000, "0"},
      {0x0000000000000001, "5e-324"},
      {0x8000000000000001, "-5e-324"},
      {0x7fefffffffffffff, "1.7976931348623157e+308"},
      {0xffefffffffffffff, "-1.7976931348623157e+308"},
      {0x4340000000000000, "9007199254740992"},
      {0xc340000000000000, "-9007199254740992"},
      {0x4430000000000000, "295147905179352830000"},
      {0x44b52d02c7e14af5, "9.999999999999997e+22"},
      {0x44b52d02c7e14af6, "1e+23"},
      {0x44b52d02c7e14af7, "1.0000000000000001e+23"},
      {0x444b1ae4d6e2ef4e, "999999999999999700000"},
      {0x444b1ae4d6e2ef4f, "999999999999999900000"},
      {0x444b1ae4d6e2ef50, "1e+21"},
      {0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"},
      {0x3eb0c6f7a0b5ed8d, "0.000001"},
      {0x41b3de4355555553, "333333333.3333332"},
      {0x41b3de4355555554, "333333333.33333325"},
      {0x41b3de4355555555, "333333333.3333333"},
      {0x41b3de4355555556, "333333333.3333334"},
      {0x41b3de4355555557, "333333333.33333343"},
      {0xbecbf647612f3696, "-0.0000033333333333333333"},
      {0x43143ff3c1cb0959, "1424953923781206.2"}};
  for (const auto& [bits, text] : numbers) {
    EXPECT_EQ(CanonicalJson(std::bit_cast<double>(bits)), text);
  }
}

TEST(CanonicalJson, PrintsIntegersAndWhatIsNone) {
  EXPECT_EQ(CanonicalJson(int64_t{-7}), "-7");
  EXPECT_EQ(CanonicalJson(uint64_t{1} << 53), "9007199254740992");
  EXPECT_EQ(CanonicalJson(100.0), "100");
  EXPECT_EQ(CanonicalJson(INFINITY), "null");
}

// RFC 8785, §3.2.2 and §3.2.3.
TEST(CanonicalJson, GivesTheExamplesOfTheRfc) {
  EXPECT_EQ(Canonical(R"({"numbers": [333333333.33333329, 1E30, 4.50, 2e-3,
                          0.000000000000000000000000001],
                         "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
                         "literals": [null, true, false]})"),
            R"({"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],)"
            "\"string\":\"\xe2\x82\xac$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}");
}

TEST(CanonicalJson, SortsNamesByUtf16) {
  EXPECT_EQ(Canonical(R"({"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7,
                         "":8,"11":9})"),
            "{\"\":8,\"\\r\":2,\"1\":4,\"11\":9,\"\xc2\x80\":6,\"\xc3\xb6\":7,\"\xe2\x82\xac\":1,"
            "\"\xf0\x9f\x98\x80\":5,\"\xef\xac\xb3\":3}");
}

TEST(CanonicalJson, EscapesOnlyWhatItMust) {
  EXPECT_EQ(CanonicalJson(std::string("\b\t\n\f\r\"\\/\x01\x1f\x7f<>&\xc2\x80")),
            "\"\\b\\t\\n\\f\\r\\\"\\\\/\\u0001\\u001f\x7f<>&\xc2\x80\"");
}

TEST(CanonicalJson, IsAFixedPoint) {
  const std::string once = Canonical(R"({"b":[1.5e300,{"z":"\u0000"}],"a":-0.0})");
  EXPECT_EQ(Canonical(once), once);
}

TEST(ParseJson, TakesJson) {
  EXPECT_EQ(ParseJson(R"( {"a":[1,-2,3.5,"x",null,true]} )").value().dump(),
            R"({"a":[1,-2,3.5,"x",null,true]})");
  EXPECT_EQ(ParseJson("3").value(), 3);
  EXPECT_TRUE(ParseJson(R"({"a":{"k":1},"b":{"k":2}})"));  // twice, but not in one object
}

TEST(ParseJson, RefusesWhatIsNot) {
  for (const char* bad :
       {"", " ", "{", "{\"a\":1,}", "[1,]", "nul", "NaN", "1 2", "{} x", "'a'", "01", "\"\xff\"",
        "\"\\ud800\"", "\"\n\"", "/**/1", "1e999", "\xef\xbb\xbf{}"}) {
    EXPECT_THAT(ParseJson(bad), FailsWith(Errc::kInvalid, "bad_json", "")) << bad;
  }
  EXPECT_THAT(ParseJson("[1,\n2,x]"), FailsWith(Errc::kInvalid, "bad_json", "byte 7"));
}

TEST(ParseJson, RefusesANameTwice) {
  EXPECT_THAT(ParseJson(R"({"a":1,"b":{"k":1,"\u006b":2}})"),
              FailsWith(Errc::kInvalid, "bad_json", "'k'"));
}

TEST(ParseJson, RefusesDepth) {
  const auto nested = [](size_t n) { return std::string(n, '[') + std::string(n, ']'); };
  EXPECT_THAT(ParseJson(nested(64)), Ok());
  EXPECT_THAT(ParseJson(nested(65)), FailsWith(Errc::kInvalid, "bad_json", "64"));
  EXPECT_FALSE(ParseJson(std::string(1'000'000, '[')));
}

TEST(ParseJson, RefusesMoreValuesThanMemoryIsFor) {
  std::string many = "[";
  for (int i = 0; i < 1 << 22; ++i) many += "0,";
  many += "0]";
  EXPECT_THAT(ParseJson(many), FailsWith(Errc::kInvalid, "bad_json", "4194304 values"));
  many = "[";  // an object takes several times the memory of a number
  for (int i = 0; i < 1 << 20; ++i) many += "{},";
  many += "0]";
  EXPECT_THAT(ParseJson(many), FailsWith(Errc::kInvalid, "bad_json", "4194304 values"));
}

}  // namespace
}  // namespace signum
