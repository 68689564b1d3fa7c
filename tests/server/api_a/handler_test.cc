#include "server/handler.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "storage/base/lru_cache.h"
#include "tests/support/result_matchers.h"

namespace signum {
namespace {

http::Request Query(const std::string& name, const std::string& value) {
  http::Request request;
  request.query = {{name, value}};
  return request;
}

TEST(HandlerTest, ErrorsBecomeProblems) {
  const auto handler = Answer([](const http::Request&, const http::Params&) {
    return Result<http::Response>(Fail(Errc::kNotFound, "unknown_thing", "no thing 'x'"));
  });
  http::Request request;
  request.id = "r1";
  const http::Response response = handler(request, {});
  EXPECT_EQ(response.status, 404);
  const auto problem = nlohmann::json::parse(std::get<std::string>(response.body));
  EXPECT_EQ(problem["code"], "unknown_thing");
  EXPECT_EQ(problem["detail"], "no thing 'x'");
  EXPECT_EQ(problem["request_id"], "r1");
  EXPECT_EQ(problem["status"], 404);
}

TEST(HandlerTest, PagesHaveLimits) {
  EXPECT_EQ(PageOf({})->limit, 100u);
  EXPECT_EQ(PageOf(Query("limit", "1000"))->limit, 1000u);
  EXPECT_EQ(PageOf(Query("after", "x"))->after, "x");
  for (const auto* wrong : {"0", "1001", "-1", "1e2", "", "18446744073709551617"}) {
    EXPECT_THAT(PageOf(Query("limit", wrong)), FailsWith(Errc::kInvalid, "bad_query", "limit"));
  }
  EXPECT_EQ(NumberedPageOf(Query("after", "7"))->AfterNumber(), 7u);
  EXPECT_THAT(NumberedPageOf(Query("after", "x")), FailsWith(Errc::kInvalid, "bad_query", "after"));
}

TEST(HandlerTest, TheNextPageIsNamedOnlyWhereThisOneIsFull) {
  Page page;
  page.limit = 2;
  const auto list = [&](nlohmann::json items) {
    const http::Response response = ListResponse("things", std::move(items), page, "b");
    return nlohmann::json::parse(std::get<std::string>(response.body));
  };
  EXPECT_EQ(list({"a", "b"})["next"], "b");
  EXPECT_EQ(list(nlohmann::json::array({"a"}))["next"], nullptr);
  EXPECT_EQ(list(nlohmann::json::array())["things"], nlohmann::json::array());
}

TEST(HandlerTest, PathsAreEncodedForUrls) {
  EXPECT_EQ(EncodePath("a/b-c_d.e~f"), "a/b-c_d.e~f");
  EXPECT_EQ(EncodePath("a b%?#\xC3\xA9"), "a%20b%25%3F%23%C3%A9");
}

TEST(HandlerTest, NumbersAreDigitsAlone) {
  uint64_t number = 0;
  EXPECT_TRUE(ParseNumber("42", &number));
  EXPECT_EQ(number, 42u);
  for (const auto* wrong : {"", "+1", "-1", " 1", "1 ", "0x1", "1234567890123456789"}) {
    EXPECT_FALSE(ParseNumber(wrong, &number)) << wrong;
  }
}

TEST(LruCacheTest, KeepsWhatWasUsedLast) {
  LruCache<int, std::string> cache(2);
  cache.Insert(1, std::make_shared<const std::string>("one"));
  cache.Insert(2, std::make_shared<const std::string>("two"));
  ASSERT_NE(cache.Find(1), nullptr);
  cache.Insert(3, std::make_shared<const std::string>("three"));
  EXPECT_EQ(cache.Find(2), nullptr);  // 1 was used after it
  ASSERT_NE(cache.Find(1), nullptr);
  EXPECT_EQ(*cache.Find(3), "three");
  cache.Insert(1, std::make_shared<const std::string>("uno"));
  EXPECT_EQ(*cache.Find(1), "uno");
  EXPECT_NE(cache.Find(3), nullptr);
}

}  // namespace
}  // namespace signum
