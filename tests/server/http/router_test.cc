#include "server/http/router.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace signum::http {
namespace {

Handler Nothing() {
  return [](const Request&, const Params&) { return Response{}; };
}

Router Example() {
  Router router;
  for (const char* pattern :
       {"/", "/jobs", "/jobs/{id}", "/jobs/summary", "/files/{name}/{path...}",
        "/files/{name}/meta", "/files/{path...}"}) {
    router.Add({"GET", pattern, Nothing()});
  }
  router.Add({"DELETE", "/jobs/{id}", Nothing()});
  router.Add({"POST", "/jobs", Nothing()});
  return router;
}

std::string Found(const Router& router, std::string_view method,
                  std::vector<std::string> segments) {
  const auto match = router.Find(method, segments);
  if (match.route == nullptr) return "allow " + match.allow;
  std::string text = match.route->pattern;
  for (const auto& param : match.params) text += " " + param;
  return text;
}

TEST(Router, FindsTheMostSpecificRoute) {
  const Router router = Example();
  EXPECT_EQ(Found(router, "GET", {}), "/");
  EXPECT_EQ(Found(router, "GET", {"jobs", "7"}), "/jobs/{id} 7");
  EXPECT_EQ(Found(router, "GET", {"jobs", "summary"}), "/jobs/summary");
  EXPECT_EQ(Found(router, "DELETE", {"jobs", "summary"}), "/jobs/{id} summary");
  EXPECT_EQ(Found(router, "GET", {"files", "a", "meta"}), "/files/{name}/meta a");
  EXPECT_EQ(Found(router, "GET", {"files", "a", "b", "c"}), "/files/{name}/{path...} a b/c");
  EXPECT_EQ(Found(router, "GET", {"files", "a"}), "/files/{path...} a");
  EXPECT_EQ(Found(router, "HEAD", {"jobs"}), "/jobs");
}

TEST(Router, NamesTheMethodsOfAKnownPath) {
  const Router router = Example();
  EXPECT_EQ(Found(router, "PUT", {"jobs"}), "allow GET, HEAD, OPTIONS, POST");
  EXPECT_EQ(Found(router, "OPTIONS", {"jobs", "1"}), "allow DELETE, GET, HEAD, OPTIONS");
  EXPECT_EQ(Found(router, "GET", {"nothing"}), "allow ");
  EXPECT_EQ(Found(router, "GET", {"jobs", ""}), "allow ") << "a parameter is never empty";
  EXPECT_EQ(Found(router, "GET", {"files"}), "allow ");
  EXPECT_EQ(Found(router, "GET", {"files", "a", "", "b"}), "/files/{path...} a//b")
      << "the rest, but for its beginning, is the handler's to check";
}

TEST(Router, RefusesMalformedTables) {
  Router router = Example();
  EXPECT_THROW(router.Add({"GET", "/jobs", Nothing()}), std::logic_error);
  for (const char* bad : {"", "jobs", "/a//b", "/{a...}/b", "/a{b}", "/{a"}) {
    EXPECT_THROW(router.Add({"GET", bad, Nothing()}), std::logic_error) << bad;
  }
}

}  // namespace
}  // namespace signum::http
