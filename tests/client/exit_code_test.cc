#include "client/exit_code.h"

#include <gtest/gtest.h>

#include "client/registry.h"

namespace signum::client {
namespace {

int ExitOf(Errc code) { return static_cast<int>(ExitCodeOf(code)); }

TEST(ExitCodeTest, MapsEveryKindOfError) {
  EXPECT_EQ(ExitOf(Errc::kInternal), 1);
  EXPECT_EQ(ExitOf(Errc::kUnavailable), 1);
  EXPECT_EQ(ExitOf(Errc::kExhausted), 1);
  EXPECT_EQ(ExitOf(Errc::kCancelled), 1);
  EXPECT_EQ(ExitOf(Errc::kInvalid), 2);
  EXPECT_EQ(ExitOf(Errc::kNotFound), 3);
  EXPECT_EQ(ExitOf(Errc::kUnauthorized), 4);
  EXPECT_EQ(ExitOf(Errc::kDenied), 4);
  EXPECT_EQ(ExitOf(Errc::kPrecondition), 4);
  EXPECT_EQ(ExitOf(Errc::kConflict), 4);
  EXPECT_EQ(ExitOf(Errc::kUnusable), 4);
  EXPECT_EQ(ExitOf(Errc::kTooLarge), 4);
  EXPECT_EQ(ExitOf(Errc::kCorrupt), 5);
}

HttpResponse Answer(int status, std::string body) { return {status, {}, std::move(body)}; }

TEST(ProblemTest, KeepsCodeAndDetailOfTheDocument) {
  const Error error = ErrorFromResponse(
      Answer(412,
             R"({"title":"Precondition Failed","detail":"live moved","code":"alias_changed"})"),
      "PUT /x");
  EXPECT_EQ(error.code, Errc::kPrecondition);
  EXPECT_EQ(error.reason, "alias_changed");
  EXPECT_EQ(error.message, "PUT /x: live moved");
}

TEST(ProblemTest, MapsStatusesWithoutADocument) {
  const std::pair<int, Errc> kCases[] = {
      {400, Errc::kInvalid},     {401, Errc::kUnauthorized}, {403, Errc::kDenied},
      {404, Errc::kNotFound},    {409, Errc::kConflict},     {410, Errc::kNotFound},
      {413, Errc::kTooLarge},    {418, Errc::kInvalid},      {422, Errc::kUnusable},
      {429, Errc::kUnavailable}, {500, Errc::kInternal},     {502, Errc::kUnavailable},
      {503, Errc::kUnavailable}, {507, Errc::kExhausted},    {302, Errc::kInternal}};
  for (const auto& [status, code] : kCases) {
    const Error error = ErrorFromResponse(Answer(status, "<html>no problem</html>"), "GET /y");
    EXPECT_EQ(error.code, code) << status;
    EXPECT_EQ(error.message, "GET /y: HTTP " + std::to_string(status));
    EXPECT_EQ(IsTransient(error), code == Errc::kUnavailable);
  }
}

TEST(ProblemTest, CallsADigestMismatchCorrupt) {
  EXPECT_EQ(ErrorFromResponse(Answer(422, R"({"code":"digest_mismatch"})"), "PATCH").code,
            Errc::kCorrupt);
}

}  // namespace
}  // namespace signum::client
