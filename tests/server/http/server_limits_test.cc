#include "tests/server/http/test_server.h"

namespace signum::http::test {
namespace {

using Limits = ServerTest;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

TEST_F(Limits, RefusesAMegabyteOfHeaders) {
  StartServer();
  RawClient many(port());
  std::string headers;
  while (headers.size() < 1'000'000)
    headers += "X-Filler-" + std::to_string(headers.size()) + ": y\r\n";
  many.Send(Ask11("GET", "/hello", headers));
  EXPECT_EQ(many.Read()->status, 431);
  RawClient one(port());
  one.Send(Ask11("GET", "/hello", "X-Long: " + std::string(1'000'000, 'x') + "\r\n"));
  EXPECT_EQ(one.Read()->status, 431);
  RawClient line(port());
  line.Send(Ask11("GET", "/" + std::string(1'000'000, 'x')));
  EXPECT_EQ(line.Read()->status, 431);
  EXPECT_TRUE(Saw(" 431"));
}

TEST_F(Limits, RefusesWhatTwoParsersCouldReadDifferently) {
  StartServer();
  const std::pair<std::string, int> probes[] = {
      {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400},
      {"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 400},
      {"Content-Length: 5\r\nContent-Length: 6\r\n", 400},
      {"Content-Length: 5\r\nContent-Length: 5\r\n", 400},
      {"Content-Length: 5, 5\r\n", 400},
      {"Content-Length: +5\r\n", 400},
      {"Content-Length: -5\r\n", 400},
      {"Content-Length: 0x5\r\n", 400},
      {"Content-Length: \r\n", 400},
      {"Content-Length: 99999999999999999999999\r\n", 400},
      {"Content-Length : 5\r\n", 400},
      {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400},
      {"Transfer-Encoding: chunked, identity\r\n", 501},
      {"Transfer-Encoding: xchunked\r\n", 501},
      {"Transfer-Encoding: gzip, chunked\r\n", 501},
      {"Host: other\r\n", 400},
      {" Folded: first\r\n", 400},
      {"X: y\r\n Content-Length: 5\r\n", 400},
      {"Content-Length:\r\n\t5\r\n", 400},
      {"X: a\rb\r\n", 400},
      {std::string("X: a\0b\r\n", 9), 400},
      {"Expect: the unexpected\r\n", 417},
      {"Content-Length: 5\r\nContent-Encoding: gzip\r\n", 415},
      {"Content-Length: 5\r\nContent-Encoding: identity, br\r\n", 415},
  };
  for (const auto& [headers, status] : probes) {
    RawClient client(port());
    const auto answer = client.Ask(Ask11("POST", "/echo", headers) + "12345");
    ASSERT_TRUE(answer.has_value()) << headers;
    EXPECT_EQ(answer->status, status) << headers << answer->body;
    EXPECT_TRUE(client.AtEnd()) << headers;
  }
}

TEST_F(Limits, RefusesMalformedRequests) {
  StartServer();
  const std::pair<std::string, int> probes[] = {
      {"GET /hello HTTP/1.1\r\n\r\n", 400},  // no Host
      {"GET /hello HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
      {"GET /hello HTTP/2.0\r\nHost: a\r\n\r\n", 505},
      {"GET /hello\r\n\r\n", 400},
      {"GET /hello http/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET /hello HTTP/1.10\r\nHost: a\r\n\r\n", 400},
      {"GET /hel lo HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"BREW /hello HTTP/1.1\r\nHost: a\r\n\r\n", 501},
      {"get /hello HTTP/1.1\r\nHost: a\r\n\r\n", 501},
      {"G(T /hello HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET /a/../hello HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET /a%2Fb HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET hello HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 not http\r\n\r\n", 400},
      {"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
  };
  for (const auto& [request, status] : probes) {
    RawClient client(port());
    const auto answer = client.Ask(request);
    ASSERT_TRUE(answer.has_value()) << request;
    EXPECT_EQ(answer->status, status) << request << answer->body;
  }
}

TEST_F(Limits, RefusesMalformedChunks) {
  StartServer();
  const std::string bodies[] = {"zz\r\nhello\r\n0\r\n\r\n", "5\r\nhelloX\r\n0\r\n\r\n",
                                "FFFFFFFFFFFFFFFFFFFF\r\nx\r\n",
                                "5;" + std::string(100'000, 'x') + "\r\nhello\r\n0\r\n\r\n",
                                "0\r\n" + std::string(100'000, 'x')};
  for (const auto& body : bodies) {
    RawClient client(port());
    client.Send(Ask11("POST", "/echo", "Transfer-Encoding: chunked\r\n"));
    client.Send(body);
    const auto answer = client.Read();
    ASSERT_TRUE(answer.has_value()) << body.substr(0, 30);
    EXPECT_EQ(answer->status, 400) << body.substr(0, 30);
  }
}

TEST_F(Limits, EndsASlowHeader) {
  ServerOptions options;
  options.header_timeout = milliseconds(300);
  StartServer(options);
  RawClient client(port());
  const auto begin = steady_clock::now();
  client.Send("GET /hello HTTP/1.1\r\n");
  while (!Saw(" 408", 1) && steady_clock::now() - begin < milliseconds(10'000)) {
    client.Send("X-Filler: y\r\n");
  }
  EXPECT_GE(steady_clock::now() - begin, milliseconds(300));
  EXPECT_LT(steady_clock::now() - begin, milliseconds(5'000));
  EXPECT_EQ(client.Read()->status, 408);
  EXPECT_TRUE(client.AtEnd());
}

TEST_F(Limits, EndsAnIdleConnection) {
  ServerOptions options;
  options.idle_timeout = milliseconds(200);
  StartServer(options);
  RawClient client(port());
  client.Ask(Ask11("GET", "/hello"));
  EXPECT_TRUE(client.AtEnd());
}

TEST_F(Limits, EndsABodyWithoutProgress) {
  ServerOptions options;
  options.body_timeout = milliseconds(300);
  StartServer(options);
  RawClient client(port());
  client.Send(Ask11("PUT", "/sink", "Content-Length: 100\r\n") + "beginning");
  const auto answer = client.Read();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->status, 408);
  EXPECT_FALSE(sink_log_->Get().finished);
}

TEST_F(Limits, EndsABodyThatTrickles) {
  ServerOptions options;
  options.body_timeout = milliseconds(300);
  options.min_body_rate = 100'000;
  StartServer(options);
  RawClient client(port());
  client.Send(Ask11("PUT", "/sink", "Content-Length: 1000000\r\n"));
  const auto begin = steady_clock::now();
  while (steady_clock::now() - begin < milliseconds(8'000)) {
    if (!client.Send("x")) break;
    std::this_thread::sleep_for(milliseconds(50));
  }
  EXPECT_LT(steady_clock::now() - begin, milliseconds(7'500));
  EXPECT_TRUE(Saw("/sink 408"));
}

TEST_F(Limits, EndsAnAnswerThatNobodyReads) {
  ServerOptions options;
  options.body_timeout = milliseconds(300);
  StartServer(options);
  RawClient client(port());
  std::string many;
  for (int i = 0; i < 20; ++i) many += Ask11("GET", i % 2 == 0 ? "/viewed" : "/read");
  client.Send(many);
  for (int i = 0; i < 2000 && server_->connections() > 0; ++i) {
    std::this_thread::sleep_for(milliseconds(5));
  }
  EXPECT_EQ(server_->connections(), 0U);
}

TEST_F(Limits, RefusesAConnectionTooMany) {
  ServerOptions options;
  options.max_connections = 3;
  StartServer(options);
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(std::make_unique<RawClient>(port()));
    ASSERT_EQ(clients.back()->Ask(Ask11("GET", "/hello"))->status, 200);
  }
  RawClient extra(port());
  const auto refused = extra.Ask(Ask11("GET", "/hello"));
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->status, 503);
  EXPECT_TRUE(refused->headers.contains("retry-after"));
  EXPECT_TRUE(extra.AtEnd());
  clients.clear();
  for (int i = 0; i < 1000 && server_->connections() > 0; ++i) {
    std::this_thread::sleep_for(milliseconds(5));
  }
  RawClient next(port());
  EXPECT_EQ(next.Ask(Ask11("GET", "/hello"))->status, 200);
}

TEST_F(Limits, RefusesRequestsThatThePoolHasNoRoomFor) {
  ServerOptions options;
  options.pool_threads = 1;
  options.max_queued = 1;
  StartServer(options);
  RawClient running(port());
  running.Send(Ask11("GET", "/block"));
  ASSERT_TRUE(blocked_.WaitUntil([](int count) { return count == 1; }));
  RawClient queued(port());
  queued.Send(Ask11("GET", "/block"));
  std::this_thread::sleep_for(milliseconds(100));
  RawClient refused(port());
  const auto answer = refused.Ask(Ask11("POST", "/echo", "", "x"));
  EXPECT_EQ(answer->status, 503);
  EXPECT_TRUE(answer->headers.contains("retry-after"));
  EXPECT_EQ(refused.Ask(Ask11("GET", "/hello"))->status, 200) << "inline routes need no pool";
  release_.Set(true);
  EXPECT_EQ(running.Read()->status, 200);
  EXPECT_EQ(queued.Read()->status, 200);
}

}  // namespace
}  // namespace signum::http::test
