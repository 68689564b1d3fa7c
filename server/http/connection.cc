#include "server/http/connection.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "server/http/url.h"

namespace signum::http {

namespace asio = boost::asio;
using asio::awaitable;
using std::chrono::steady_clock;

namespace {

constexpr size_t kFirstPiece = 64 * 1024;  // grows to kPiece as bytes really come
constexpr size_t kPiece = 512 * 1024;
constexpr uint64_t kLingerBytes = 64ull << 20;
constexpr std::chrono::seconds kLingerTime{2};

bool SaneId(std::string_view id) {
  return !id.empty() && id.size() <= 128 && std::all_of(id.begin(), id.end(), [](char c) {
    return c > ' ' && c < 0x7F && c != '"' && c != '\\';
  });
}

std::string HexCount(uint64_t value) {
  std::string text(8, '0');
  for (size_t i = 8; i-- > 0; value >>= 4) text[i] = "0123456789abcdef"[value & 15];
  return text;
}

}  // namespace

void Connection::Guard(Exchange& exchange, const std::function<void()>& work) {
  try {
    work();
  } catch (const std::exception& failure) {
    exchange.Refuse({500, "internal", std::string("internal error: ") + failure.what()});
  }
}

Connection::Connection(std::shared_ptr<asio::io_context> io, Shared& shared, MutableBytes scratch,
                       asio::ip::tcp::socket socket, std::string peer)
    : io_(std::move(io)),
      shared_(shared),
      scratch_(scratch),
      stream_(std::move(socket), shared.tls.Current().get()),
      event_(*io_),
      peer_(std::move(peer)) {}

void Connection::Drain() {
  if (idle_) stream_.Abort();
  event_.cancel();
}

void Connection::Abort() {
  stream_.Abort();
  event_.cancel();
}

void Connection::Launch(Job* job, std::function<void()> work) {
  job->done = false;
  shared_.pool.Post([this, job, work = std::move(work)] {
    work();
    asio::post(*io_, [this, job] {
      job->done = true;
      event_.cancel();
    });
  });
}

awaitable<void> Connection::Join(const Job& job) {
  while (!job.done) {
    boost::system::error_code ignored;
    auto token = asio::redirect_error(asio::use_awaitable, ignored);
    event_.expires_at(SteadyTime::max());
    co_await event_.async_wait(token);
  }
}

awaitable<void> Connection::OnPool(const std::function<void()>& work) {
  Job job;
  Launch(&job, work);
  co_await Join(job);
}

awaitable<void> Connection::Run() {
  const SteadyTime deadline = steady_clock::now() + shared_.options.header_timeout;
  bool open = co_await stream_.Handshake(deadline);
  while (open) open = co_await ServeOne();
}

awaitable<void> Connection::Reject() {
  if (stream_.secure()) co_return;
  const std::string answer =
      FormatRefusal(503, "too_many_connections", "too many connections: try again later");
  stream_.StartMeter(kLingerTime, 0);
  co_await stream_.Write(AsBytes(answer), false);
  co_await stream_.Linger(kLingerBytes, steady_clock::now() + kLingerTime);
}

awaitable<bool> Connection::ServeOne() {
  Exchange exchange;
  auto parser = std::make_unique<RequestParser>(shared_.options.max_header_bytes);
  const HeadState state = co_await ReadHead(exchange, *parser);
  if (state == HeadState::kGone) co_return false;
  RequestHead head;
  if (state == HeadState::kComplete) {
    head = std::move(parser->head());
    if (const auto refusal = Admit(exchange, head)) exchange.Refuse(*refusal);
  }
  exchange.head_refused = exchange.response.has_value();
  RequestBody body(stream_, buffered_, scratch_, head, std::move(parser));
  exchange.has_body = !body.done();
  if (!exchange.response) co_await Dispatch(exchange, body);
  co_return co_await Conclude(exchange, body);
}

awaitable<Connection::HeadState> Connection::ReadHead(Exchange& exchange, RequestParser& parser) {
  if (buffered_.empty()) {
    std::string().swap(buffered_);
    idle_ = true;
    const bool ready = !shared_.draining && co_await stream_.WaitReadable(
                                                steady_clock::now() + shared_.options.idle_timeout);
    idle_ = false;
    if (!ready) co_return HeadState::kGone;
  }
  exchange.start = steady_clock::now();
  exchange.read_before = stream_.bytes_read() - buffered_.size();
  exchange.written_before = stream_.bytes_written();
  const SteadyTime deadline = exchange.start + shared_.options.header_timeout;
  for (bool begun = false;;) {
    if (!begun) buffered_.erase(0, buffered_.find_first_not_of("\r\n"));  // RFC 9112 §2.2
    begun = begun || !buffered_.empty();
    auto outcome = parser.ParseHead(buffered_);
    if (const auto* refusal = std::get_if<Refusal>(&outcome)) {
      exchange.request.method = parser.head().method;
      exchange.request.target = parser.head().target;
      exchange.request.id = shared_.id_prefix + HexCount(shared_.next_id++);
      exchange.Refuse(*refusal);
      co_return HeadState::kRefused;
    }
    buffered_.erase(0, std::get<size_t>(outcome));
    if (parser.head_done()) co_return HeadState::kComplete;
    const size_t got = co_await stream_.Read(scratch_, deadline);
    if (got == 0) co_return FailHead(exchange);
    buffered_.append(reinterpret_cast<const char*>(scratch_.data()), got);
  }
}

Connection::HeadState Connection::FailHead(Exchange& exchange) const {
  if (!stream_.timed_out()) return HeadState::kGone;
  exchange.request.id = shared_.id_prefix + HexCount(shared_.next_id++);
  exchange.Refuse({408, "header_timeout", "the request line and headers took too long"});
  return HeadState::kRefused;
}

std::optional<Refusal> Connection::Admit(Exchange& exchange, RequestHead& head) const {
  Request& request = exchange.request;
  request.method = std::move(head.method);
  request.target = std::move(head.target);
  request.headers = std::move(head.headers);
  request.content_length = head.content_length;
  request.chunked = head.chunked;
  request.peer = peer_;
  request.client_verified = stream_.client_verified();
  const auto caller_id = request.Header("x-request-id");
  request.id =
      SaneId(caller_id) ? std::string(caller_id) : shared_.id_prefix + HexCount(shared_.next_id++);
  exchange.http11 = head.http11;
  exchange.keep_alive = head.keep_alive;
  exchange.awaits_continue = head.expects_continue;
  auto target = ParseTarget(request.target, shared_.options.encoded_slashes);
  if (!target) return Refusal{400, target.error().reason, target.error().message};
  request.path = std::move(target->path);
  request.segments = std::move(target->segments);
  request.query = std::move(target->query);
  const std::string host = target->authority.empty() ? std::string(request.Header("host"))
                                                     : std::move(target->authority);
  request.base_url = (stream_.secure() ? "https://" : "http://") + host;
  if (request.path != "*") exchange.match = shared_.router.Find(request.method, request.segments);
  return std::nullopt;
}

Response Connection::Unrouted(const Exchange& exchange) const {
  const Request& request = exchange.request;
  std::string allow = exchange.match.allow;
  if (request.path == "*") allow = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
  if (allow.empty()) {
    return ProblemStatus(404, "not_found", "nothing at " + request.path, request.id);
  }
  Response response;
  response.status = 204;
  if (request.method != "OPTIONS") {
    response = ProblemStatus(405, "method_not_allowed",
                             request.method + " is not allowed here, but " + allow, request.id);
  }
  response.Set("Allow", std::move(allow));
  return response;
}

// Everything that comes before the body is read. Runs on the pool, or inline where the route says
// so.
void Connection::Open(Exchange& exchange) const {
  Request& request = exchange.request;
  const Route* route = exchange.match.route;
  if (shared_.hooks.gate) {
    exchange.response = shared_.hooks.gate(request, route, exchange.match.params);
    if (exchange.response) return;
  }
  if (route == nullptr) {
    exchange.response = Unrouted(exchange);
  } else if (const auto* open = std::get_if<SinkHandler>(&route->handler)) {
    auto opened = (*open)(request, exchange.match.params);
    if (auto* sink = std::get_if<std::unique_ptr<BodySink>>(&opened)) {
      exchange.sink = std::move(*sink);
    } else {
      exchange.response = std::move(std::get<Response>(opened));
    }
  } else if (request.content_length > route->max_body) {
    exchange.Refuse({413, "body_too_large",
                     "the request body exceeds " + std::to_string(route->max_body) + " bytes"});
  } else if (!exchange.has_body) {
    exchange.response = std::get<Handler>(route->handler)(request, exchange.match.params);
  }
}

awaitable<void> Connection::Dispatch(Exchange& exchange, RequestBody& body) {
  const auto open = [this, &exchange] { Guard(exchange, [&] { Open(exchange); }); };
  const Route* route = exchange.match.route;
  if (route != nullptr && route->inline_ok && !exchange.has_body) {
    open();
  } else if (!shared_.pool.HasRoom()) {
    exchange.Refuse({503, "overloaded", "too many requests are waiting: try again later"});
  } else {
    const std::function<void()> work = open;
    co_await OnPool(work);
  }
  if (!exchange.response) co_await ReceiveBody(exchange, body);
}

awaitable<void> Connection::ReceiveBody(Exchange& exchange, RequestBody& body) {
  stream_.StartMeter(shared_.options.body_timeout, shared_.options.min_body_rate);
  if (exchange.awaits_continue && buffered_.empty()) {
    const bool told = co_await stream_.Write(AsBytes("HTTP/1.1 100 Continue\r\n\r\n"), false);
    if (!told) co_return;
  }
  exchange.awaits_continue = false;
  RequestBody::State state;
  if (exchange.sink) {
    state = co_await PumpSink(exchange, body);
  } else {
    state = co_await ReadBuffered(exchange, body);
  }
  if (exchange.response) co_return;
  if (state == RequestBody::State::kMalformed) exchange.Refuse(body.refusal());
  if (state == RequestBody::State::kTooSlow) {
    exchange.Refuse({408, "body_timeout", "the request body came too slowly"});
  }
}

awaitable<RequestBody::State> Connection::ReadBuffered(Exchange& exchange, RequestBody& body) {
  const Route& route = *exchange.match.route;
  Request& request = exchange.request;
  auto state = RequestBody::State::kMore;
  std::string piece;
  while (state == RequestBody::State::kMore) {
    state = co_await body.Next(&piece, kFirstPiece);
    if (request.body.size() + piece.size() > route.max_body) {
      exchange.Refuse({413, "body_too_large",
                       "the request body exceeds " + std::to_string(route.max_body) + " bytes"});
      co_return state;
    }
    request.body.append(piece);
  }
  if (state != RequestBody::State::kEnd) co_return state;
  const std::function<void()> work = [&exchange, &route] {
    Guard(exchange, [&] {
      exchange.response = std::get<Handler>(route.handler)(exchange.request, exchange.match.params);
    });
  };
  co_await OnPool(work);
  co_return state;
}

// Reads the next piece while the sink writes the last one. What arrived before a client vanished
// still goes to the sink, so that a resumable upload keeps it.
awaitable<RequestBody::State> Connection::PumpSink(Exchange& exchange, RequestBody& body) {
  auto state = RequestBody::State::kMore;
  std::string arriving;
  std::string writing;
  Job job;
  size_t want = kFirstPiece;
  const std::function<void()> write = [&exchange, &writing] {
    Guard(exchange, [&] {
      const auto written = exchange.sink->Write(AsBytes(writing));
      if (!written) exchange.response = exchange.sink->Refuse(written.error());
    });
  };
  while (state == RequestBody::State::kMore) {
    state = co_await body.Next(&arriving, want);
    want = std::min(want * 2, kPiece);
    co_await Join(job);
    if (exchange.response) break;
    std::swap(arriving, writing);
    if (!writing.empty()) Launch(&job, write);
  }
  co_await Join(job);
  const bool finish = state == RequestBody::State::kEnd && !exchange.response;
  const std::function<void()> end = [&exchange, finish] {
    Guard(exchange, [&] {
      if (finish) exchange.response = exchange.sink->Finish();
      exchange.sink.reset();
    });
  };
  co_await OnPool(end);
  co_return state;
}

// Sends the answer, if there is anybody to answer; returns whether another request may follow.
awaitable<bool> Connection::Conclude(Exchange& exchange, RequestBody& body) {
  const bool rest_is_small = body.NearEnd() && (body.done() || !exchange.awaits_continue);
  exchange.keep_alive = exchange.keep_alive && exchange.response && rest_is_small &&
                        exchange.response->status != 408 && !shared_.draining;
  bool open = false;
  if (exchange.response) {
    stream_.StartMeter(shared_.options.body_timeout, shared_.options.min_body_rate);
    open = co_await Send(exchange);
  }
  Observe(exchange);
  if (!open) co_return false;
  if (!exchange.keep_alive) {
    const bool rest_is_coming = exchange.head_refused || !body.done();
    const SteadyTime deadline = steady_clock::now() + kLingerTime;
    idle_ = true;  // answered: a server that stops need not wait for this
    co_await stream_.Linger(rest_is_coming ? kLingerBytes : 0, deadline);
    co_return false;
  }
  std::string dropped;
  auto state = body.done() ? RequestBody::State::kEnd : RequestBody::State::kMore;
  while (state == RequestBody::State::kMore) state = co_await body.Next(&dropped, kFirstPiece);
  co_return state == RequestBody::State::kEnd;
}

void Connection::Observe(const Exchange& exchange) const {
  if (!shared_.hooks.observe) return;
  const auto took = steady_clock::now() - exchange.start;
  std::string_view
      route;  // a conditional expression would copy the pattern and leave a dangling view
  if (exchange.match.route != nullptr) route = exchange.match.route->pattern;
  const AccessRecord record{exchange.request,
                            route,
                            exchange.status,
                            stream_.bytes_read() - buffered_.size() - exchange.read_before,
                            stream_.bytes_written() - exchange.written_before,
                            std::chrono::duration_cast<std::chrono::microseconds>(took)};
  shared_.hooks.observe(record);
}

}  // namespace signum::http
