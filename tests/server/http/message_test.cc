#include "server/http/message.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "server/http/response_head.h"

namespace signum::http {
namespace {

std::string HeaderOf(const Response& response, std::string_view name) {
  for (const auto& [key, value] : response.headers) {
    if (key == name) return value;
  }
  return "(none)";
}

TEST(Request, LooksUpHeadersAndParameters) {
  Request request;
  request.headers = {{"host", "a"}, {"range", "bytes=0-"}};
  request.query = {{"tenant", "a"}, {"since", ""}, {"tenant", "b"}};
  EXPECT_EQ(request.Header("range"), "bytes=0-");
  EXPECT_EQ(request.Header("none"), "");
  EXPECT_EQ(request.Query("tenant"), "a");
  EXPECT_EQ(request.Query("since"), "");
  EXPECT_EQ(request.Query("none"), std::nullopt);
  EXPECT_EQ(request.QueryAll("tenant"), (std::vector<std::string_view>{"a", "b"}));
}

TEST(Problem, IsAnRfc9457Document) {
  const Response response =
      Problem(Fail(Errc::kUnusable, "nan_weight", "tensor \"w\xFF\" holds NaN"), "id-1");
  EXPECT_EQ(response.status, 422);
  EXPECT_EQ(HeaderOf(response, "Content-Type"), "application/problem+json");
  const auto document = nlohmann::json::parse(std::get<std::string>(response.body));
  EXPECT_EQ(document.at("type"), "about:blank");
  EXPECT_EQ(document.at("title"), "Unprocessable Content");
  EXPECT_EQ(document.at("status"), 422);
  EXPECT_EQ(document.at("detail"), "tensor \"w\xEF\xBF\xBD\" holds NaN");
  EXPECT_EQ(document.at("code"), "nan_weight");
  EXPECT_EQ(document.at("request_id"), "id-1");
}

TEST(Problem, SaysWhenToComeBackAndHowToLogIn) {
  EXPECT_NE(HeaderOf(Problem(Fail(Errc::kUnavailable, "busy", ""), ""), "Retry-After"), "(none)");
  EXPECT_EQ(HeaderOf(Problem(Fail(Errc::kUnauthorized, "no_token", ""), ""), "WWW-Authenticate"),
            "Bearer realm=\"signum\"");
  EXPECT_EQ(HeaderOf(ProblemStatus(410, "gone", "", ""), "Retry-After"), "(none)");
}

TEST(Problem, HasAStatusForEveryCode) {
  const std::pair<Errc, int> expected[] = {
      {Errc::kInvalid, 400},      {Errc::kUnusable, 422}, {Errc::kUnauthorized, 401},
      {Errc::kDenied, 403},       {Errc::kNotFound, 404}, {Errc::kConflict, 409},
      {Errc::kPrecondition, 412}, {Errc::kTooLarge, 413}, {Errc::kExhausted, 507},
      {Errc::kUnavailable, 503},  {Errc::kCorrupt, 500},  {Errc::kCancelled, 409},
      {Errc::kInternal, 500}};
  for (const auto& [code, status] : expected) {
    EXPECT_EQ(StatusOf(Error{code, "", ""}), status);
    EXPECT_NE(ReasonPhrase(status), "Unknown");
  }
}

TEST(ResponseHead, LetsNoValueBeginAHeaderOfItsOwn) {
  Response response;
  response.Set("X-Name", "a\r\nSet-Cookie: b\x01");
  const std::string head = FormatHead(response, "id", Framing::kLength, 7, true);
  EXPECT_NE(head.find("\r\nX-Name: a  Set-Cookie: b \r\n"), std::string::npos);
  EXPECT_NE(head.find("\r\nContent-Length: 7\r\n"), std::string::npos);
  EXPECT_TRUE(head.ends_with("\r\nConnection: keep-alive\r\n\r\n"));
  EXPECT_EQ(FormatHead(response, "id", Framing::kNone, 7, false).find("Content-Length"),
            std::string::npos);
}

}  // namespace
}  // namespace signum::http
