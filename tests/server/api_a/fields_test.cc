#include "server/fields.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/result_matchers.h"

namespace signum {
namespace {

http::Request Body(std::string body, std::string type = "application/json") {
  http::Request request;
  request.body = std::move(body);
  request.headers = {{"content-type", std::move(type)}};
  return request;
}

TEST(FieldsTest, ReadsEveryType) {
  auto fields =
      *Fields::Parse(Body(R"({"s":"x","n":9007199254740992,"b":true,"l":["p","q"],"z":null})"));
  EXPECT_EQ(*fields.String("s"), "x");
  EXPECT_EQ(*fields.Number("n"), 1ull << 53);
  EXPECT_EQ(*fields.Bool("b", false), true);
  EXPECT_EQ(*fields.Strings("l"), (std::vector<std::string>{"p", "q"}));
  EXPECT_EQ(*fields.OptionalString("z"), std::nullopt);
  EXPECT_EQ(*fields.Bool("absent", true), true);
  EXPECT_TRUE(fields.Strings("absent")->empty());
  EXPECT_THAT(fields.Done(), Ok());
}

TEST(FieldsTest, NamesTheFieldAtFault) {
  auto fields = *Fields::Parse(
      Body(R"({"s":1,"n":"1","big":9007199254740993,"neg":-1,"b":0,"l":[1],"z":null})"));
  EXPECT_THAT(fields.String("s"), FailsWith(Errc::kUnusable, "bad_field", "'s'"));
  EXPECT_THAT(fields.OptionalString("s"), FailsWith(Errc::kUnusable, "bad_field", "'s'"));
  EXPECT_THAT(fields.Number("n"), FailsWith(Errc::kUnusable, "bad_field", "'n'"));
  EXPECT_THAT(fields.Number("big"), FailsWith(Errc::kUnusable, "bad_field", "'big'"));
  EXPECT_THAT(fields.Number("neg"), FailsWith(Errc::kUnusable, "bad_field", "'neg'"));
  EXPECT_THAT(fields.Bool("b", true), FailsWith(Errc::kUnusable, "bad_field", "'b'"));
  EXPECT_THAT(fields.Strings("l"), FailsWith(Errc::kUnusable, "bad_field", "'l'"));
  EXPECT_THAT(fields.Array("s"), FailsWith(Errc::kUnusable, "bad_field", "'s'"));
  EXPECT_THAT(fields.String("z"), FailsWith(Errc::kUnusable, "missing_field", "'z'"));
}

TEST(FieldsTest, RefusesFieldsNobodyKnows) {
  auto fields = *Fields::Parse(Body(R"({"known":"x","knwon":"y"})"));
  ASSERT_THAT(fields.String("known"), Ok());
  EXPECT_THAT(fields.Done(), FailsWith(Errc::kUnusable, "unknown_field", "'knwon'"));
}

TEST(FieldsTest, ABodyMustBeAJsonObject) {
  EXPECT_THAT(Fields::Parse(Body("")), FailsWith(Errc::kInvalid, "bad_json", ""));
  EXPECT_THAT(Fields::Parse(Body("{} {}")), FailsWith(Errc::kInvalid, "bad_json", ""));
  EXPECT_THAT(Fields::Parse(Body("[]")), FailsWith(Errc::kInvalid, "bad_body", "object"));
  EXPECT_THAT(Fields::Parse(Body("{}", "text/xml")),
              FailsWith(Errc::kInvalid, "bad_content_type", ""));
  EXPECT_THAT(Fields::Parse(Body("{}", "application/json; charset=utf-8")), Ok());
  EXPECT_THAT(Fields::Parse(Body("{}", "application/merge-patch+json")), Ok());
  EXPECT_THAT(Fields::Parse(Body("{}", "")), Ok());
}

TEST(FieldsTest, InnerObjectsAreNamedByTheirPlace) {
  const auto inner = nlohmann::json::parse(R"({"size":"big"})");
  auto fields = *Fields::Of(inner, "files[3].");
  EXPECT_THAT(fields.Number("size"), FailsWith(Errc::kUnusable, "bad_field", "'files[3].size'"));
  EXPECT_THAT(Fields::Of(nlohmann::json(7), "files[3]."),
              FailsWith(Errc::kUnusable, "bad_field", "'files[3]'"));
}

}  // namespace
}  // namespace signum
