#include <array>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>

#include "server/http/connection.h"

namespace signum::http {

namespace asio = boost::asio;
using asio::awaitable;
using std::chrono::steady_clock;

namespace {
constexpr std::string_view kKeepAliveComment = ": keep-alive\n\n";
constexpr std::string_view kLastChunk = "0\r\n\r\n";
}  // namespace

// Shared with the wakes that others hold. Only `signalled` and `io` are touched by other threads.
struct Connection::Waiter {
  std::shared_ptr<asio::io_context> io;
  std::atomic<bool> signalled{false};
  Connection* connection;  // null once nobody waits; I/O thread only

  Waiter(std::shared_ptr<asio::io_context> context, Connection* waiting)
      : io(std::move(context)), connection(waiting) {}
};

std::shared_ptr<Connection::Waiter> Connection::BeginWait() {
  peer_gone_ = false;
  stream_.WatchPeer([this] {
    peer_gone_ = true;
    event_.cancel();
  });
  return std::make_shared<Waiter>(io_, this);
}

void Connection::EndWait(const std::shared_ptr<Waiter>& waiter) {
  waiter->connection = nullptr;
  stream_.StopWatching();
}

std::function<void()> Connection::WakeOf(std::shared_ptr<Waiter> waiter) {
  return [waiter = std::move(waiter)] {
    if (waiter->signalled.exchange(true)) return;
    asio::post(*waiter->io, [waiter] {
      if (waiter->connection != nullptr) waiter->connection->event_.cancel();
    });
  };
}

awaitable<void> Connection::AwaitWake(const Waiter& waiter, SteadyTime until) {
  while (!waiter.signalled && !Leaving() && steady_clock::now() < until) {
    boost::system::error_code ignored;
    auto token = asio::redirect_error(asio::use_awaitable, ignored);
    event_.expires_at(until);
    co_await event_.async_wait(token);
  }
}

bool Connection::Leaving() const { return peer_gone_ || stream_.aborted() || shared_.draining; }

awaitable<bool> Connection::ResolvePending(Exchange& exchange) {
  const Pending pending = std::move(std::get<Pending>(exchange.response->body));
  exchange.response.reset();
  const SteadyTime until = steady_clock::now() + pending.timeout;
  const auto waiter = BeginWait();
  std::shared_ptr<void> subscription;
  bool last = false;
  const std::function<void()> poll = [&] {
    Guard(exchange, [&] {
      if (!subscription && pending.subscribe) subscription = pending.subscribe(WakeOf(waiter));
      exchange.response = pending.poll(last);
    });
  };
  while (!exchange.response && !last && !peer_gone_) {
    last = Leaving() || steady_clock::now() >= until;
    waiter->signalled = false;
    co_await OnPool(poll);
    if (!exchange.response && !last) co_await AwaitWake(*waiter, until);
  }
  subscription.reset();
  EndWait(waiter);
  if (peer_gone_) co_return false;
  if (!exchange.response || std::holds_alternative<Pending>(exchange.response->body)) {
    exchange.Refuse({500, "internal", "internal error: a wait ended without an answer"});
  }
  exchange.keep_alive = exchange.keep_alive && !shared_.draining;
  co_return true;
}

awaitable<bool> Connection::WriteEvent(std::string_view text, bool chunked) {
  if (!chunked) co_return co_await stream_.Write(AsBytes(text), false);
  std::array<char, 20> size;
  const auto end = std::to_chars(size.data(), size.data() + size.size(), text.size(), 16).ptr;
  std::string chunk(size.data(), end);
  chunk.append("\r\n").append(text).append("\r\n");
  co_return co_await stream_.Write(AsBytes(chunk), false);
}

awaitable<bool> Connection::SendEvents(Exchange& exchange) {
  const EventStream events = std::move(std::get<EventStream>(exchange.response->body));
  const bool chunked = exchange.http11;
  exchange.keep_alive = exchange.keep_alive && chunked;
  const std::string head = Head(exchange, chunked ? Framing::kChunked : Framing::kClose, 0);
  bool open = co_await stream_.Write(AsBytes(head), false);
  if (!open || exchange.request.method == "HEAD") co_return open;
  open = co_await StreamEvents(events, chunked);
  exchange.keep_alive = exchange.keep_alive && !shared_.draining;
  if (open && chunked) open = co_await stream_.Write(AsBytes(kLastChunk), false);
  co_return open;
}

awaitable<bool> Connection::StreamEvents(const EventStream& events, bool chunked) {
  const auto waiter = BeginWait();
  std::shared_ptr<void> subscription;
  std::optional<std::string> text;
  const std::function<void()> next = [&] {
    try {
      if (!subscription && events.subscribe) subscription = events.subscribe(WakeOf(waiter));
      text = events.next();
    } catch (const std::exception&) {
      text.reset();  // ends the stream; the client asks again
    }
  };
  bool open = true;
  while (open && !Leaving()) {
    waiter->signalled = false;
    co_await OnPool(next);
    if (!text) break;
    if (!text->empty()) open = co_await WriteEvent(*text, chunked);
    std::string().swap(*text);
    while (open && !waiter->signalled && !Leaving()) {
      const SteadyTime until = steady_clock::now() + shared_.options.sse_keep_alive;
      co_await AwaitWake(*waiter, until);
      const bool quiet = !waiter->signalled && !Leaving();
      if (quiet) open = co_await WriteEvent(kKeepAliveComment, chunked);
    }
  }
  subscription.reset();
  EndWait(waiter);
  co_return open && !peer_gone_ && !stream_.aborted();
}

}  // namespace signum::http
