#include "client/http_client.h"

#include <gtest/gtest.h>

#include "tests/support/result_matchers.h"

namespace signum::client {
namespace {

TEST(UrlTest, ResolvesAbsoluteAndRelative) {
  EXPECT_EQ(*ResolveUrl("http://h:1/x", "/v1/y?z=1"), "http://h:1/v1/y?z=1");
  EXPECT_EQ(*ResolveUrl("http://h:1/a/b", "c"), "http://h:1/a/c");
  EXPECT_EQ(*ResolveUrl("http://h:1", "https://other/d"), "https://other/d");
  EXPECT_THAT(ResolveUrl("", "/x"), FailsWith(Errc::kInvalid, "bad_url", "/x"));
}

TEST(UrlTest, FindsTheOrigin) {
  EXPECT_EQ(*UrlOrigin("http://h:8080/v1/x?y"), "http://h:8080");
  EXPECT_EQ(*UrlOrigin("https://h"), "https://h");
  EXPECT_THAT(UrlOrigin("not a url"), FailsWith(Errc::kInvalid, "bad_url", "not a url"));
}

TEST(UrlTest, EscapesSegmentsAndPaths) {
  EXPECT_EQ(EscapeSegment("a b/c%+é"), "a%20b%2Fc%25%2B%C3%A9");
  EXPECT_EQ(EscapeSegment("A-z_0.9~"), "A-z_0.9~");
  EXPECT_EQ(EscapePath("sub dir/x#1.txt"), "sub%20dir/x%231.txt");
  EXPECT_EQ(EscapeSegment(std::string_view("\0", 1)), "%00");
}

TEST(HttpClientTest, NamesWhatCannotBeReached) {
  HttpClient client;
  HttpRequest request;
  request.url = "http://127.0.0.1:1/x";  // nothing listens on port 1
  EXPECT_THAT(client.Send(request), FailsWith(Errc::kUnavailable, "unreachable", "127.0.0.1:1"));
  request.url = "ftp://127.0.0.1/x";
  EXPECT_THAT(client.Send(request), FailsWith(Errc::kInvalid, "bad_url", "ftp"));
}

}  // namespace
}  // namespace signum::client
