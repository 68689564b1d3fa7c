#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "server/access_log.h"
#include "server/principal.h"

namespace signum::test {
namespace {

const std::string kSecret = "sgn_do_not_write_this";

http::Request SecretRequest() {
  http::Request request;
  request.method = "GET";
  request.path = "/v1/tenants/acme/live";
  request.target = request.path + "?token=" + kSecret;
  request.query = {{"token", kSecret}};
  request.headers = {{"authorization", "Bearer " + kSecret}, {"cookie", kSecret}};
  request.peer = "127.0.0.1:4242";
  request.id = "r-1";
  request.caller = Principal{"tok-7", Role::kNode, {"acme"}};
  return request;
}

http::AccessRecord RecordOf(const http::Request& request) {
  return {request, "/v1/tenants/{tenant}/live", 200, 10, 20, std::chrono::microseconds(30)};
}

TEST(AccessLog, AJsonLineSaysWhoDidWhat) {
  const http::Request request = SecretRequest();
  const std::string line = AccessLine(LogFormat::kJson, 1'000'000, RecordOf(request));
  const auto fields = nlohmann::json::parse(line);
  EXPECT_EQ(fields["time"], "1970-01-01T00:00:01.000000Z");
  EXPECT_EQ(fields["request_id"], "r-1");
  EXPECT_EQ(fields["caller"], "tok-7");
  EXPECT_EQ(fields["route"], "/v1/tenants/{tenant}/live");
  EXPECT_EQ(fields["path"], "/v1/tenants/acme/live");
  EXPECT_EQ(fields["status"], 200);
  EXPECT_EQ(fields["bytes_in"], 10);
  EXPECT_EQ(fields["bytes_out"], 20);
  EXPECT_EQ(fields["duration_us"], 30);
}

TEST(AccessLog, NoLineHoldsASecret) {
  const http::Request request = SecretRequest();
  for (const LogFormat format : {LogFormat::kJson, LogFormat::kText}) {
    EXPECT_EQ(AccessLine(format, 0, RecordOf(request)).find(kSecret), std::string::npos);
  }
}

TEST(AccessLog, NoPathForgesALine) {
  http::Request request = SecretRequest();
  request.path = "/a\n2026 forged \xff\"";
  const std::string text = AccessLine(LogFormat::kText, 0, RecordOf(request));
  EXPECT_EQ(text.find('\n'), std::string::npos);
  EXPECT_EQ(text.find(" forged"), std::string::npos);
  const std::string json = AccessLine(LogFormat::kJson, 0, RecordOf(request));
  EXPECT_EQ(json.find('\n'), std::string::npos);
  EXPECT_TRUE(nlohmann::json::accept(json));
}

TEST(AccessLog, ARequestThatNobodyAuthenticatedHasNoCaller) {
  http::Request request = SecretRequest();
  request.caller.reset();
  EXPECT_EQ(nlohmann::json::parse(AccessLine(LogFormat::kJson, 0, RecordOf(request)))["caller"],
            "-");
}

TEST(AccessLog, WritesWhatWaitsBeforeItEnds) {
  const SystemClock clock;
  const http::Request request = SecretRequest();
  testing::internal::CaptureStdout();
  {
    AccessLog log(LogFormat::kJson, clock);
    for (int i = 0; i < 100; ++i) log.Write(RecordOf(request));
  }
  const std::string written = testing::internal::GetCapturedStdout();
  EXPECT_EQ(std::count(written.begin(), written.end(), '\n'), 100);
}

}  // namespace
}  // namespace signum::test
