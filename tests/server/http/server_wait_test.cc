#include "tests/server/http/test_server.h"

namespace signum::http::test {
namespace {

using Waits = ServerTest;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

TEST_F(Waits, AnswersAtOnceWhatIsKnown) {
  StartServer();
  news_.Set(4);
  RawClient client(port());
  EXPECT_EQ(client.Ask(Ask11("GET", "/wait"))->body, "4");
  EXPECT_TRUE(bell_.WaitFor(0)) << "the subscription must end with the answer";
  EXPECT_EQ(client.Ask(Ask11("GET", "/hello"))->status, 200);
}

TEST_F(Waits, AnswersWhenWoken) {
  StartServer();
  RawClient client(port());
  client.Send(Ask11("GET", "/wait"));
  ASSERT_TRUE(bell_.WaitFor(1));
  bell_.Ring();  // for nothing: it goes on waiting
  std::this_thread::sleep_for(milliseconds(20));
  news_.Set(7);
  bell_.Ring();
  EXPECT_EQ(client.Read()->body, "7");
  EXPECT_EQ(client.Ask(Ask11("GET", "/wait"))->body, "7") << "the connection is kept";
}

TEST_F(Waits, AnswersAtItsTimeout) {
  StartServer();
  RawClient client(port());
  const auto begin = steady_clock::now();
  EXPECT_EQ(client.Ask(Ask11("GET", "/wait?ms=150"))->body, "0");
  EXPECT_GE(steady_clock::now() - begin, milliseconds(150));
  EXPECT_EQ(polls_, 2);
}

TEST_F(Waits, LosesNoWakeAndCoalescesThem) {
  StartServer();
  RawClient client(port());
  client.Send(Ask11("GET", "/wait"));
  ASSERT_TRUE(bell_.WaitFor(1));
  for (int i = 0; i < 10'000; ++i) bell_.Ring();
  news_.Set(1);
  bell_.Ring();
  EXPECT_EQ(client.Read()->body, "1");
  EXPECT_LT(polls_, 9'000);
}

TEST_F(Waits, ForgetsAClientThatLeft) {
  StartServer();
  {
    RawClient client(port());
    client.Send(Ask11("GET", "/wait"));
    ASSERT_TRUE(bell_.WaitFor(1));
  }
  EXPECT_TRUE(bell_.WaitFor(0));
  EXPECT_TRUE(Saw("/wait 499"));
  {
    RawClient client(port());
    client.Send(Ask11("GET", "/events"));
    ASSERT_TRUE(bell_.WaitFor(1));
  }
  EXPECT_TRUE(bell_.WaitFor(0));
}

TEST_F(Waits, KeepsARequestThatWasSentWhileWaiting) {
  StartServer();
  RawClient client(port());
  client.Send(Ask11("GET", "/wait"));
  ASSERT_TRUE(bell_.WaitFor(1));
  client.Send(Ask11("POST", "/echo", "", "next"));
  std::this_thread::sleep_for(milliseconds(20));
  news_.Set(3);
  bell_.Ring();
  EXPECT_EQ(client.Read()->body, "3");
  EXPECT_EQ(client.Read()->body, "next");
}

TEST_F(Waits, StreamsEventsAndComments) {
  ServerOptions options;
  options.sse_keep_alive = milliseconds(100);
  StartServer(options);
  RawClient client(port());
  news_.Set(1);
  client.Send(Ask11("GET", "/events"));
  const auto head = client.Read();
  EXPECT_EQ(head->headers.at("content-type"), "text/event-stream");
  EXPECT_EQ(head->headers.at("transfer-encoding"), "chunked");
  std::string text;
  const auto read_until = [&](const std::string& what) {
    while (text.find(what) == std::string::npos) {
      const std::string more = client.ReadSome();
      if (more.empty()) return false;
      text += more;
    }
    return true;
  };
  EXPECT_TRUE(read_until("9\r\ndata: 1\n\n\r\n"));
  EXPECT_TRUE(read_until("e\r\n: keep-alive\n\n\r\n"));
  news_.Set(2);
  bell_.Ring();
  EXPECT_TRUE(read_until("data: 2\n\n"));
  news_.Set(-1);
  bell_.Ring();
  EXPECT_TRUE(read_until("\r\n0\r\n\r\n"));
  EXPECT_EQ(client.Ask(Ask11("GET", "/hello"))->status, 200);
}

TEST_F(Waits, HoldsNoThreadWhileWaiting) {
  ServerOptions options;
  options.pool_threads = 1;
  options.max_queued = 1000;
  StartServer(options);
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 200; ++i) {
    clients.push_back(std::make_unique<RawClient>(port()));
    clients.back()->Send(Ask11("GET", i % 2 == 0 ? "/wait" : "/events"));
  }
  ASSERT_TRUE(bell_.WaitFor(200));
  RawClient other(port());
  EXPECT_EQ(other.Ask(Ask11("POST", "/echo", "", "free"))->body, "free");
  news_.Set(5);
  bell_.Ring();
  for (int i = 0; i < 200; i += 2) EXPECT_EQ(clients[static_cast<size_t>(i)]->Read()->body, "5");
}

}  // namespace
}  // namespace signum::http::test
