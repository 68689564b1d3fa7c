#include "server/http/serve_source.h"

#include <gtest/gtest.h>

namespace signum::http {
namespace {

Response Serve(std::string method, Headers headers, bool immutable = false) {
  Request request;
  request.method = std::move(method);
  request.headers = std::move(headers);
  return ServeSource(request, {std::make_shared<MemorySource>("0123456789"), "\"e\"",
                               "sha-256=:AA==:", "text/plain", immutable});
}

std::string HeaderOf(const Response& response, std::string_view name) {
  for (const auto& [key, value] : response.headers) {
    if (key == name) return value;
  }
  return "(none)";
}

TEST(ServeSource, GivesTheWholeWithItsValidators) {
  const Response response = Serve("GET", {});
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(HeaderOf(response, "ETag"), "\"e\"");
  EXPECT_EQ(HeaderOf(response, "Accept-Ranges"), "bytes");
  EXPECT_EQ(HeaderOf(response, "Repr-Digest"), "sha-256=:AA==:");
  EXPECT_EQ(HeaderOf(response, "Content-Type"), "text/plain");
  EXPECT_EQ(HeaderOf(response, "Cache-Control"), "no-cache");
  EXPECT_EQ(std::get<SourceBody>(response.body).length, 10U);
  EXPECT_EQ(HeaderOf(Serve("GET", {}, true), "Cache-Control"),
            "public, max-age=31536000, immutable");
}

TEST(ServeSource, GivesAWindow) {
  const Response response = Serve("GET", {{"range", "bytes=2-4"}});
  EXPECT_EQ(response.status, 206);
  EXPECT_EQ(HeaderOf(response, "Content-Range"), "bytes 2-4/10");
  EXPECT_EQ(HeaderOf(response, "ETag"), "\"e\"");
  EXPECT_EQ(std::get<SourceBody>(response.body).offset, 2U);
  EXPECT_EQ(std::get<SourceBody>(response.body).length, 3U);
  EXPECT_EQ(Serve("HEAD", {{"range", "bytes=2-4"}}).status, 200);
}

TEST(ServeSource, AnswersConditions) {
  const Response same = Serve("GET", {{"if-none-match", "\"e\""}, {"range", "bytes=99-"}});
  EXPECT_EQ(same.status, 304);
  EXPECT_EQ(HeaderOf(same, "ETag"), "\"e\"");
  EXPECT_EQ(HeaderOf(same, "Cache-Control"), "no-cache");
  EXPECT_EQ(Serve("GET", {{"if-match", "\"other\""}}).status, 412);
  const Response beyond = Serve("GET", {{"range", "bytes=10-"}});
  EXPECT_EQ(beyond.status, 416);
  EXPECT_EQ(HeaderOf(beyond, "Content-Range"), "bytes */10");
}

}  // namespace
}  // namespace signum::http
