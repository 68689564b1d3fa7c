#include "tests/server/http/test_server.h"

namespace signum::http::test {
namespace {

using Stops = ServerTest;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

TEST_F(Stops, EndsIdleConnectionsAndWaitsAtOnce) {
  StartServer();
  RawClient idle(port());
  RawClient unused(port());
  RawClient waiting(port());
  RawClient watching(port());
  idle.Ask(Ask11("GET", "/hello"));
  waiting.Send(Ask11("GET", "/wait"));
  watching.Send(Ask11("GET", "/events"));
  ASSERT_TRUE(bell_.WaitFor(2));
  watching.Read();
  const auto begin = steady_clock::now();
  server_->Stop(milliseconds(10'000));
  EXPECT_LT(steady_clock::now() - begin, milliseconds(5'000));
  EXPECT_EQ(server_->connections(), 0U);
  EXPECT_TRUE(idle.AtEnd());
  EXPECT_TRUE(unused.AtEnd());
  const auto answer = waiting.Read();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->body, "0");
  EXPECT_EQ(answer->headers.at("connection"), "close");
  EXPECT_EQ(watching.ReadSome(), "0\r\n\r\n");
  EXPECT_FALSE(RawClient(port()).connected());
}

TEST_F(Stops, LetsRunningRequestsEnd) {
  StartServer();
  RawClient client(port());
  client.Send(Ask11("GET", "/block"));
  ASSERT_TRUE(blocked_.WaitUntil([](int count) { return count == 1; }));
  std::thread stopper([&] { server_->Stop(milliseconds(20'000)); });
  std::this_thread::sleep_for(milliseconds(50));
  release_.Set(true);
  const auto answer = client.Read();
  stopper.join();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->body, "\"released\"");
  EXPECT_EQ(answer->headers.at("connection"), "close");
}

TEST_F(Stops, ClosesWhatOutlastsTheGrace) {
  StartServer();
  RawClient client(port());
  client.Send(Ask11("PUT", "/sink", "Content-Length: 1000000\r\n") + "a beginning");
  RawClient half(port());
  half.Send("GET /hello HTT");
  std::this_thread::sleep_for(milliseconds(50));
  const auto begin = steady_clock::now();
  server_->Stop(milliseconds(200));
  EXPECT_GE(steady_clock::now() - begin, milliseconds(200));
  EXPECT_LT(steady_clock::now() - begin, milliseconds(5'000));
  EXPECT_FALSE(client.Read().has_value());
  EXPECT_FALSE(sink_log_->Get().finished);
}

TEST_F(Stops, CanBeAskedTwiceAndFromTheDestructor) {
  StartServer();
  server_->Stop(milliseconds(0));
  server_->Stop(milliseconds(0));
  server_.reset();
}

}  // namespace
}  // namespace signum::http::test
