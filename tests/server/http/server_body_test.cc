#include <sys/socket.h>

#include "tests/server/http/test_server.h"

namespace signum::http::test {
namespace {

using Bodies = ServerTest;

std::string Chunked(const std::string& body, size_t step) {
  std::string text;
  for (size_t at = 0; at < body.size(); at += step) {
    const std::string piece = body.substr(at, step);
    char size[32];
    std::snprintf(size, sizeof(size), "%zx;note=\"x\"\r\n", piece.size());
    text += size + piece + "\r\n";
  }
  return text + "0\r\nX-Trailer: dropped\r\n\r\n";
}

TEST_F(Bodies, StreamsALargeBodyToTheSink) {
  StartServer();
  RawClient client(port());
  const auto answer = client.Ask(Ask11("PUT", "/sink", "", blob_));
  EXPECT_EQ(answer->status, 201);
  EXPECT_EQ(answer->body, "{\"size\":3000000}");
  ASSERT_TRUE(sink_log_->WaitUntil([](const SinkLog& log) { return log.destroyed; }));
  EXPECT_TRUE(sink_log_->Get().finished);
  EXPECT_TRUE(sink_log_->Get().bytes == blob_);
  EXPECT_GT(sink_log_->Get().writes, 3) << "it must not be collected first";
  EXPECT_EQ(client.Ask(Ask11("GET", "/hello"))->status, 200);
}

TEST_F(Bodies, DecodesChunksOfEverySize) {
  StartServer();
  RawClient client(port());
  for (const size_t step : {size_t{1}, size_t{77}, size_t{65536}, size_t{2'999'999}}) {
    const std::string body = step == 1 ? blob_.substr(0, 5000) : blob_;
    client.Send(Ask11("PUT", "/sink", "Transfer-Encoding: chunked\r\n"));
    client.Send(Chunked(body, step));
    const auto answer = client.Read();
    ASSERT_TRUE(answer.has_value()) << step;
    EXPECT_EQ(answer->status, 201);
    EXPECT_TRUE(sink_log_->Get().bytes == body) << step;
  }
  client.Send(Ask11("POST", "/echo", "Transfer-Encoding: chunked\r\n") + Chunked("hello", 2));
  EXPECT_EQ(client.Read()->body, "hello");
}

TEST_F(Bodies, GivesAnEmptyBodyToTheSinkToo) {
  StartServer();
  RawClient client(port());
  EXPECT_EQ(client.Ask(Ask11("PUT", "/sink", "Content-Length: 0\r\n"))->body, "{\"size\":0}");
  EXPECT_EQ(client.Ask(Ask11("PUT", "/sink"))->body, "{\"size\":0}");
}

TEST_F(Bodies, DestroysTheSinkWithoutFinishWhenTheClientVanishes) {
  StartServer();
  for (const bool hard : {false, true}) {
    sink_log_->Set({});
    RawClient client(port());
    client.Send(Ask11("PUT", "/sink", "Content-Length: 1000000\r\n") + blob_.substr(0, 300'000));
    ASSERT_TRUE(sink_log_->WaitUntil([](const SinkLog& log) { return log.writes > 0; }));
    if (hard) {
      client.CloseHard();
    } else {
      shutdown(client.fd(), SHUT_RDWR);
    }
    ASSERT_TRUE(sink_log_->WaitUntil([](const SinkLog& log) { return log.destroyed; }));
    EXPECT_FALSE(sink_log_->Get().finished);
    // A resumable upload must keep what came: all of it where the client ended in order.
    if (!hard) {
      EXPECT_TRUE(sink_log_->Get().bytes == blob_.substr(0, 300'000));
    }
  }
  EXPECT_TRUE(Saw("/sink 499"));
}

TEST_F(Bodies, StopsAtAnErrorOfTheSinkAndLetsTheClientSeeIt) {
  sink_fails_after_ = 100'000;
  StartServer();
  RawClient client(port());
  client.Send(Ask11("PUT", "/sink", "", blob_));
  const auto answer = client.Read();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->status, 507);
  EXPECT_NE(answer->body.find("disk_full"), std::string::npos);
  EXPECT_EQ(answer->headers.at("connection"), "close");
  EXPECT_TRUE(client.AtEnd());
  ASSERT_TRUE(sink_log_->WaitUntil([](const SinkLog& log) { return log.destroyed; }));
  EXPECT_FALSE(sink_log_->Get().finished);
}

TEST_F(Bodies, AnswersBeforeReadingABodyThatNobodyWants) {
  StartServer();
  RawClient large(port());
  large.Send(Ask11("PUT", "/closed", "", blob_));
  EXPECT_EQ(large.Read()->status, 409);
  EXPECT_TRUE(large.AtEnd());
  RawClient small(port());
  EXPECT_EQ(small.Ask(Ask11("PUT", "/closed", "", "little"))->status, 409);
  EXPECT_EQ(small.Ask(Ask11("GET", "/hello"))->status, 200) << "a small rest is read and dropped";
}

TEST_F(Bodies, AsksForTheBodyOnlyWhenItIsWanted) {
  StartServer();
  const std::string expect = "Expect: 100-continue\r\nContent-Length: 5\r\n";
  RawClient wanted(port());
  wanted.Send(Ask11("PUT", "/sink", expect));
  EXPECT_EQ(wanted.Read(true)->status, 100);
  wanted.Send("12345");
  EXPECT_EQ(wanted.Read()->body, "{\"size\":5}");
  for (const std::string target : {"/closed", "/hello"}) {
    RawClient unwanted(port());
    const auto answer = unwanted.Ask(Ask11("PUT", target, expect));
    EXPECT_EQ(answer->status, target == "/closed" ? 409 : 405);
    EXPECT_EQ(answer->headers.at("connection"), "close");
  }
  RawClient refused(port());
  EXPECT_EQ(refused.Ask(Ask11("PUT", "/sink", expect + "Authorization: Bearer wrong\r\n"))->status,
            401);
}

TEST_F(Bodies, LimitsBufferedBodies) {
  StartServer();
  RawClient declared(port());
  EXPECT_EQ(declared.Ask(Ask11("POST", "/echo", "Content-Length: 100001\r\n"))->status, 413);
  RawClient chunked(port());
  chunked.Send(Ask11("POST", "/echo", "Transfer-Encoding: chunked\r\n"));
  chunked.Send(Chunked(blob_, 50'000));
  EXPECT_EQ(chunked.Read()->status, 413);
  RawClient fits(port());
  EXPECT_TRUE(fits.Ask(Ask11("POST", "/echo", "", blob_.substr(0, 100'000)))->body ==
              blob_.substr(0, 100'000));
}

}  // namespace
}  // namespace signum::http::test
