#include "server/http/request_parser.h"

#include <gtest/gtest.h>

namespace signum::http {
namespace {

constexpr std::string_view kRequest =
    "PUT /v1/x?y=1 HTTP/1.1\r\nHost: a\r\nACCEPT: text/html\r\nAccept:  b \r\nCookie: c=1\r\n"
    "Cookie: d=2\r\nTransfer-Encoding: Chunked\r\n\r\n";

// Feeds `text` in steps, as a stream would come.
std::optional<Refusal> Feed(RequestParser* parser, std::string_view text, size_t step) {
  std::string buffered;
  while (!text.empty() && !parser->head_done()) {
    buffered.append(text.substr(0, step));
    text.remove_prefix(std::min(step, text.size()));
    auto outcome = parser->ParseHead(buffered);
    if (auto* refusal = std::get_if<Refusal>(&outcome)) return std::move(*refusal);
    buffered.erase(0, std::get<size_t>(outcome));
  }
  return std::nullopt;
}

TEST(RequestParser, ReadsAHeadHoweverItIsCut) {
  for (size_t step = 1; step <= kRequest.size(); ++step) {
    RequestParser parser(1024);
    ASSERT_FALSE(Feed(&parser, kRequest, step).has_value()) << step;
    ASSERT_TRUE(parser.head_done()) << step;
    const RequestHead& head = parser.head();
    EXPECT_EQ(head.method, "PUT");
    EXPECT_EQ(head.target, "/v1/x?y=1");
    EXPECT_TRUE(head.chunked);
    EXPECT_TRUE(head.keep_alive);
    EXPECT_EQ(*head.Find("accept"), "text/html, b");
    EXPECT_EQ(*head.Find("cookie"), "c=1; d=2");
  }
}

TEST(RequestParser, LimitsTheHeadHoweverItIsCut) {
  const std::string long_head =
      "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(1000, 'x') + "\r\n\r\n";
  for (const size_t step : {1, 7, 100, 5000}) {
    RequestParser strict(1000);
    const auto refusal = Feed(&strict, long_head, step);
    ASSERT_TRUE(refusal.has_value()) << step;
    EXPECT_EQ(refusal->status, 431);
    RequestParser enough(long_head.size());
    EXPECT_FALSE(Feed(&enough, long_head, step).has_value()) << step;
    EXPECT_TRUE(enough.head_done());
  }
}

TEST(RequestParser, LimitsTheNumberOfHeaders) {
  std::string head = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (int i = 0; i < 99; ++i) head += "X-" + std::to_string(i) + ": y\r\n";
  RequestParser fits(32768);
  EXPECT_FALSE(Feed(&fits, head + "\r\n", 4096).has_value());
  RequestParser over(32768);
  EXPECT_EQ(Feed(&over, head + "One-Too: many\r\n\r\n", 4096)->code, "too_many_headers");
}

TEST(RequestParser, DecodesChunksHoweverTheyAreCut) {
  const std::string body = "5\r\nhello\r\n1;a=\"b\"\r\n \r\n05\r\nworld\r\n0\r\nHost: x\r\n\r\nGET";
  for (size_t step = 1; step <= body.size(); ++step) {
    RequestParser parser(1024);
    ASSERT_FALSE(Feed(&parser, kRequest, 4096).has_value());
    std::string decoded;
    std::string buffered;
    for (size_t at = 0; at < body.size() && !parser.body_done(); at += step) {
      buffered += body.substr(at, step);
      const auto outcome = parser.ParseChunks(buffered, &decoded);
      ASSERT_TRUE(std::holds_alternative<size_t>(outcome)) << step;
      buffered.erase(0, std::get<size_t>(outcome));
    }
    EXPECT_TRUE(parser.body_done()) << step;
    EXPECT_EQ(decoded, "hello world") << step;
    EXPECT_EQ(*parser.head().Find("host"), "a") << "trailers are dropped";
    EXPECT_TRUE(std::string("GET").starts_with(buffered)) << "what follows is left";
  }
}

TEST(RequestParser, EndsABodyWithoutContentHoweverItIsCut) {
  for (const std::string_view body : {"0\r\n\r\n", "0;a=b\r\n\r\n", "0\r\nA: b\r\n\r\n"}) {
    RequestParser parser(1024);
    ASSERT_FALSE(Feed(&parser, kRequest, 4096).has_value());
    std::string decoded;
    for (size_t size = 1; size <= body.size(); ++size) {
      const auto outcome = parser.ParseChunks(body.substr(0, size), &decoded);
      ASSERT_TRUE(std::holds_alternative<size_t>(outcome)) << body << size;
      ASSERT_EQ(parser.body_done(), size == body.size()) << body << size;
    }
    EXPECT_EQ(decoded, "");
  }
}

TEST(RequestParser, KnowsWhoWaitsForContinue) {
  const auto expects = [](const std::string& headers) {
    RequestParser parser(1024);
    EXPECT_FALSE(Feed(
        &parser, "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n" + headers + "\r\n", 99));
    return parser.head().expects_continue;
  };
  EXPECT_TRUE(expects("Content-Length: 1\r\n"));
  EXPECT_TRUE(expects("Transfer-Encoding: chunked\r\n"));
  EXPECT_FALSE(expects("Content-Length: 0\r\n"));
  EXPECT_FALSE(expects(""));
}

}  // namespace
}  // namespace signum::http
