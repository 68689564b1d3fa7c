#include "tests/server/http/test_server.h"

namespace signum::http::test {
namespace {

using BasicServer = ServerTest;

TEST_F(BasicServer, KeepsConnectionsOpenAndAnswersPipelinedRequestsInOrder) {
  StartServer();
  RawClient client(port());
  ASSERT_EQ(client.Ask(Ask11("GET", "/hello"))->status, 200);
  ASSERT_EQ(client.Ask(Ask11("GET", "/hello"))->status, 200);
  client.Send(Ask11("GET", "/hello") + Ask11("POST", "/echo", "", "one") +
              Ask11("GET", "/nothing") + "\r\n" + Ask11("POST", "/echo", "", "two"));
  EXPECT_EQ(client.Read()->body, "{}");
  EXPECT_EQ(client.Read()->body, "one");
  EXPECT_EQ(client.Read()->status, 404);
  EXPECT_EQ(client.Read()->body, "two");
  EXPECT_EQ(server_->connections(), 1U);
}

TEST_F(BasicServer, SendsItsOwnHeaders) {
  StartServer();
  RawClient client(port());
  const auto answer = client.Ask(Ask11("GET", "/hello", "X-Request-Id: abc-1\r\n"));
  EXPECT_EQ(answer->headers.at("server"), "signum");
  EXPECT_EQ(answer->headers.at("x-request-id"), "abc-1");
  EXPECT_EQ(answer->headers.at("content-length"), "2");
  EXPECT_TRUE(answer->headers.at("date").ends_with(" GMT"));
  const auto first = client.Ask(Ask11("GET", "/hello", "X-Request-Id: a b\r\n"));
  const auto second = client.Ask(Ask11("GET", "/hello"));
  EXPECT_NE(first->headers.at("x-request-id"), "a b");
  EXPECT_NE(first->headers.at("x-request-id"), second->headers.at("x-request-id"));
}

TEST_F(BasicServer, GivesHandlersDecodedParametersAndTheAddressItWasCalledBy) {
  StartServer();
  RawClient client(port());
  EXPECT_EQ(client.Ask(Ask11("GET", "/echo/a%20b/files/x/y%2Bz?k=1+2&k=%C3%A9"))->body,
            "a b|x/y+z|http://localhost|k=1 2|k=\xC3\xA9");
  EXPECT_EQ(client.Ask(Ask11("GET", "http://registry:8080/echo/a/files/b"))->body,
            "a|b|http://registry:8080");
}

TEST_F(BasicServer, AnswersHeadWithoutABody) {
  StartServer();
  RawClient client(port());
  client.Send(Ask11("HEAD", "/viewed") + Ask11("HEAD", "/hello") + Ask11("GET", "/hello"));
  const auto head = client.Read(true);
  EXPECT_EQ(head->status, 200);
  EXPECT_EQ(head->headers.at("content-length"), "3000000");
  EXPECT_EQ(client.Read(true)->headers.at("content-length"), "2");
  EXPECT_EQ(client.Read()->body, "{}");
}

TEST_F(BasicServer, KnowsUnknownPathsOtherMethodsAndOptions) {
  StartServer();
  RawClient client(port());
  const auto unknown = client.Ask(Ask11("GET", "/nothing"));
  EXPECT_EQ(unknown->status, 404);
  EXPECT_EQ(unknown->headers.at("content-type"), "application/problem+json");
  EXPECT_NE(unknown->body.find("\"code\":\"not_found\""), std::string::npos);
  const auto method = client.Ask(Ask11("DELETE", "/hello"));
  EXPECT_EQ(method->status, 405);
  EXPECT_EQ(method->headers.at("allow"), "GET, HEAD, OPTIONS");
  const auto trace = client.Ask(Ask11("TRACE", "/hello"));
  EXPECT_EQ(trace->status, 405);
  EXPECT_EQ(trace->headers.at("allow"), "GET, HEAD, OPTIONS");
  const auto options = client.Ask(Ask11("OPTIONS", "/hello"));
  EXPECT_EQ(options->status, 204);
  EXPECT_EQ(options->headers.at("allow"), "GET, HEAD, OPTIONS");
  EXPECT_FALSE(options->headers.contains("content-length"));
  EXPECT_EQ(client.Ask(Ask11("OPTIONS", "*"))->status, 204);
}

TEST_F(BasicServer, ServesTheSameBytesFromMemoryAndByReading) {
  StartServer();
  RawClient client(port());
  EXPECT_TRUE(client.Ask(Ask11("GET", "/viewed"))->body == blob_);
  EXPECT_TRUE(client.Ask(Ask11("GET", "/read"))->body == blob_);
}

TEST_F(BasicServer, ServesRangesAndConditions) {
  StartServer();
  RawClient client(port());
  for (const std::string target : {"/viewed", "/read"}) {
    const auto ask = [&](const std::string& headers) {
      return *client.Ask(Ask11("GET", target, headers));
    };
    const auto part = ask("Range: bytes=1000-2000999\r\n");
    EXPECT_EQ(part.status, 206);
    EXPECT_EQ(part.headers.at("content-range"), "bytes 1000-2000999/3000000");
    EXPECT_TRUE(part.body == blob_.substr(1000, 2'000'000));
    EXPECT_TRUE(ask("Range: bytes=-5\r\n").body == blob_.substr(blob_.size() - 5));
    EXPECT_TRUE(ask("Range: bytes=2999990-9999999\r\n").body == blob_.substr(2'999'990));
    const auto beyond = ask("Range: bytes=3000000-\r\n");
    EXPECT_EQ(beyond.status, 416);
    EXPECT_EQ(beyond.headers.at("content-range"), "bytes */3000000");
    EXPECT_EQ(ask("Range: bytes=0-1\r\nIf-Range: \"v1\"\r\n").body, blob_.substr(0, 2));
    EXPECT_EQ(ask("Range: bytes=0-1\r\nIf-Range: \"v0\"\r\n").status, 200);
    const auto same = ask("If-None-Match: \"v0\", \"v1\"\r\n");
    EXPECT_EQ(same.status, 304);
    EXPECT_EQ(same.headers.at("etag"), "\"v1\"");
    EXPECT_EQ(ask("If-Match: \"v0\"\r\n").status, 412);
  }
}

TEST_F(BasicServer, TellsOfBytesThatFailTheirChecksum) {
  StartServer();
  RawClient client(port());
  const auto at_once = client.Ask(Ask11("GET", "/corrupt/0"));
  EXPECT_EQ(at_once->status, 500);
  EXPECT_NE(at_once->body.find("object 7"), std::string::npos);
  client.Send(Ask11("GET", "/corrupt/2000000"));
  EXPECT_FALSE(client.Read().has_value()) << "the end must not look like success";
}

TEST_F(BasicServer, TurnsAnExceptionIntoAProblem) {
  StartServer();
  RawClient client(port());
  const auto answer = client.Ask(Ask11("GET", "/throws"));
  EXPECT_EQ(answer->status, 500);
  EXPECT_NE(answer->body.find("a bug"), std::string::npos);
  EXPECT_EQ(client.Ask(Ask11("GET", "/hello"))->status, 200);
}

TEST_F(BasicServer, AsksTheGateFirstAndReportsEveryAnswer) {
  StartServer();
  RawClient client(port());
  const auto refused = client.Ask(Ask11("GET", "/hello", "Authorization: Bearer wrong\r\n"));
  EXPECT_EQ(refused->status, 401);
  EXPECT_TRUE(refused->headers.contains("www-authenticate"));
  EXPECT_EQ(client.Ask(Ask11("GET", "/no", "Authorization: Bearer wrong\r\n"))->status, 401);
  EXPECT_TRUE(Saw("/hello 401"));
  EXPECT_TRUE(Saw(" 401"));
  client.Ask(Ask11("POST", "/echo", "", "12345"));
  EXPECT_TRUE(Saw("/echo 200"));
  EXPECT_EQ(seen_bytes_in_, Ask11("POST", "/echo", "", "12345").size());
}

TEST_F(BasicServer, SpeaksHttp10) {
  StartServer();
  RawClient client(port());
  const auto answer = client.Ask("GET /hello HTTP/1.0\r\n\r\n");
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->headers.at("connection"), "close");
  EXPECT_TRUE(client.AtEnd());
}

TEST_F(BasicServer, HonoursConnectionClose) {
  StartServer();
  RawClient client(port());
  EXPECT_EQ(client.Ask(Ask11("GET", "/hello", "Connection: close\r\n"))->status, 200);
  EXPECT_TRUE(client.AtEnd());
}

TEST_F(BasicServer, SaysWhyItCannotListen) {
  StartServer();
  ServerOptions options;
  options.port = port();
  const auto second = Server::Start(options, Router(), {});
  ASSERT_TRUE(second.has_error());
  EXPECT_EQ(second.error().reason, "cannot_listen");
  EXPECT_NE(second.error().message.find(std::to_string(port())), std::string::npos);
  options.address = "nowhere";
  EXPECT_EQ(Server::Start(options, Router(), {}).error().reason, "cannot_listen");
}

TEST_F(BasicServer, ServesAThousandConnectionsAtOnce) {
  StartServer();
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 1000; ++i) {
    clients.push_back(std::make_unique<RawClient>(port()));
    ASSERT_TRUE(clients.back()->connected());
  }
  for (const auto& client : clients) client->Send(Ask11("POST", "/echo", "", "x"));
  for (const auto& client : clients) ASSERT_EQ(client->Read()->body, "x");
  EXPECT_EQ(server_->connections(), 1000U);
}

}  // namespace
}  // namespace signum::http::test
