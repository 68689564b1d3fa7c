#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/http/pool.h"
#include "server/http/request_body.h"
#include "server/http/request_parser.h"
#include "server/http/response_head.h"
#include "server/http/server.h"
#include "server/http/stream.h"

namespace signum::http {

// What all connections of a server share. Immutable but for the counters and the flag.
struct Shared {
  ServerOptions options;
  Router router;
  Server::Hooks hooks;
  TlsKeeper tls;
  std::string id_prefix;  // of the request ids made here: differs from start to start
  Pool pool;
  std::atomic<uint64_t> connections{0};
  std::atomic<uint64_t> next_id{1};
  std::atomic<bool> draining{false};
};

// One accepted connection, request after request. Lives on one I/O thread, touched by no other;
// only handlers, sinks and sources run on the pool, and never while the connection goes on without
// them.
class Connection {
 public:
  // `io` is shared so that a wake that comes late finds it alive. `scratch` is the I/O thread's.
  Connection(std::shared_ptr<boost::asio::io_context> io, Shared& shared, MutableBytes scratch,
             boost::asio::ip::tcp::socket socket, std::string peer);

  boost::asio::awaitable<void> Run();
  // For a connection too many: answers 503 to whatever comes.
  boost::asio::awaitable<void> Reject();

  void CheckDeadline(SteadyTime now) { stream_.CheckDeadline(now); }
  void Drain();  // shared.draining was set: ends idle connections and waits
  void Abort();  // ends everything but what runs on the pool

 private:
  struct Exchange;  // one request and its answer
  struct Waiter;    // what a wake may touch after the connection is gone
  struct Job {
    bool done = true;
  };

  // connection.cc: requests in
  enum class HeadState { kComplete, kRefused, kGone };
  boost::asio::awaitable<bool> ServeOne();
  boost::asio::awaitable<HeadState> ReadHead(Exchange& exchange, RequestParser& parser);
  HeadState FailHead(Exchange& exchange) const;
  std::optional<Refusal> Admit(Exchange& exchange, RequestHead& head) const;
  boost::asio::awaitable<void> Dispatch(Exchange& exchange, RequestBody& body);
  void Open(Exchange& exchange) const;
  Response Unrouted(const Exchange& exchange) const;
  boost::asio::awaitable<void> ReceiveBody(Exchange& exchange, RequestBody& body);
  boost::asio::awaitable<RequestBody::State> ReadBuffered(Exchange& exchange, RequestBody& body);
  boost::asio::awaitable<RequestBody::State> PumpSink(Exchange& exchange, RequestBody& body);
  boost::asio::awaitable<bool> Conclude(Exchange& exchange, RequestBody& body);
  void Observe(const Exchange& exchange) const;

  // connection_send.cc: answers out
  boost::asio::awaitable<bool> Send(Exchange& exchange);
  boost::asio::awaitable<bool> SendWhole(Exchange& exchange);
  boost::asio::awaitable<bool> SendSource(Exchange& exchange);
  boost::asio::awaitable<bool> SendView(ConstBytes view);
  boost::asio::awaitable<bool> SendPieces(Exchange& exchange, const SourceBody& body,
                                          const std::string& head);
  std::string Head(const Exchange& exchange, Framing framing, uint64_t length) const;

  // connection_wait.cc: answers that wait for something to happen
  boost::asio::awaitable<bool> ResolvePending(Exchange& exchange);
  boost::asio::awaitable<bool> SendEvents(Exchange& exchange);
  boost::asio::awaitable<bool> StreamEvents(const EventStream& events, bool chunked);
  boost::asio::awaitable<bool> WriteEvent(std::string_view text, bool chunked);
  std::shared_ptr<Waiter> BeginWait();
  void EndWait(const std::shared_ptr<Waiter>& waiter);
  static std::function<void()> WakeOf(std::shared_ptr<Waiter> waiter);
  boost::asio::awaitable<void> AwaitWake(const Waiter& waiter, SteadyTime until);
  bool Leaving() const;  // the client has gone, or the server is to stop

  // Runs `work`; an exception is a bug in it and becomes a 500 problem.
  static void Guard(Exchange& exchange, const std::function<void()>& work);
  // Runs `work` on the pool; the coroutine goes on here when it has returned.
  boost::asio::awaitable<void> OnPool(const std::function<void()>& work);
  void Launch(Job* job, std::function<void()> work);
  boost::asio::awaitable<void> Join(const Job& job);

  std::shared_ptr<boost::asio::io_context> io_;
  Shared& shared_;
  MutableBytes scratch_;
  Stream stream_;
  boost::asio::steady_timer event_;  // cancelled to make the coroutine look again
  std::string peer_;
  std::string buffered_;  // read, not yet parsed
  bool idle_ = false;     // between requests, or lingering: may be closed at any moment
  bool peer_gone_ = false;
};

struct Connection::Exchange {
  Request request;
  Router::Match match;
  std::optional<Response> response;  // none: not decided yet, or nobody is left to answer
  std::unique_ptr<BodySink> sink;
  SteadyTime start;
  uint64_t read_before = 0;
  uint64_t written_before = 0;
  int status = 499;  // for the log; 499: the client left before the answer, as nginx has it
  bool http11 = true;
  bool keep_alive = false;
  bool head_refused = false;  // so nobody knows where the request ends
  bool has_body = false;
  bool awaits_continue = false;  // the client holds the body back until told

  void Refuse(const Refusal& refusal) {
    response = ProblemStatus(refusal.status, refusal.code, refusal.detail, request.id);
  }
};

}  // namespace signum::http
