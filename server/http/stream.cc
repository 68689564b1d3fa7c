#include "server/http/stream.h"

#include <openssl/err.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>

namespace signum::http {

namespace asio = boost::asio;
using asio::awaitable;
using asio::ip::tcp;

struct Stream::PeerWatch {
  Stream* stream;  // null once the stream is dead
  std::function<void()> gone;
};

Stream::Stream(tcp::socket socket, SSL_CTX* tls) : socket_(std::move(socket)) {
  boost::system::error_code ignored;
  socket_.set_option(tcp::no_delay(true), ignored);
  socket_.native_non_blocking(true, ignored);
  if (tls == nullptr) return;
  tls_.reset(SSL_new(tls));
  if (tls_) SSL_set_fd(tls_.get(), socket_.native_handle());
  aborted_ = tls_ == nullptr;  // out of memory
}

Stream::~Stream() { StopWatching(); }

void Stream::Abort() {
  aborted_ = true;
  boost::system::error_code ignored;
  socket_.cancel(ignored);
}

void Stream::CheckDeadline(SteadyTime now) {
  if (now < deadline_) return;
  timed_out_ = true;
  boost::system::error_code ignored;
  socket_.cancel(ignored);
}

awaitable<bool> Stream::WaitFor(Io want, SteadyTime deadline) {
  if (aborted_) co_return false;
  deadline_ = deadline;
  timed_out_ = false;
  boost::system::error_code error;
  auto token = asio::redirect_error(asio::use_awaitable, error);
  const auto event = want == Io::kWantRead ? tcp::socket::wait_read : tcp::socket::wait_write;
  co_await socket_.async_wait(event, token);
  deadline_ = SteadyTime::max();
  co_return !error && !timed_out_ && !aborted_;
}

awaitable<bool> Stream::WaitReadable(SteadyTime deadline) {
  if (tls_ && SSL_has_pending(tls_.get()) == 1) co_return true;
  co_return co_await WaitFor(Io::kWantRead, deadline);
}

Stream::Io Stream::TlsOutcome(int result) {
  switch (SSL_get_error(tls_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return Io::kWantRead;
    case SSL_ERROR_WANT_WRITE:
      return Io::kWantWrite;
    default:
      return Io::kEnd;
  }
}

Stream::Io Stream::TryRead(MutableBytes into, size_t* count) {
  if (tls_) {
    ERR_clear_error();
    const int result = SSL_read_ex(tls_.get(), into.data(), into.size(), count);
    return result == 1 ? Io::kDone : TlsOutcome(result);
  }
  for (;;) {
    const ssize_t got = recv(socket_.native_handle(), into.data(), into.size(), MSG_DONTWAIT);
    if (got > 0) {
      *count = static_cast<size_t>(got);
      return Io::kDone;
    }
    if (got < 0 && errno == EINTR) continue;
    return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? Io::kWantRead : Io::kEnd;
  }
}

Stream::Io Stream::TryWrite(ConstBytes bytes, bool more, size_t* count) {
  if (tls_) {
    ERR_clear_error();
    const int result = SSL_write_ex(tls_.get(), bytes.data(), bytes.size(), count);
    return result == 1 ? Io::kDone : TlsOutcome(result);
  }
  for (;;) {
    const int flags = MSG_NOSIGNAL | MSG_DONTWAIT | (more ? MSG_MORE : 0);
    const ssize_t put = send(socket_.native_handle(), bytes.data(), bytes.size(), flags);
    if (put >= 0) {
      *count = static_cast<size_t>(put);
      return Io::kDone;
    }
    if (errno == EINTR) continue;
    return errno == EAGAIN || errno == EWOULDBLOCK ? Io::kWantWrite : Io::kEnd;
  }
}

awaitable<bool> Stream::Handshake(SteadyTime deadline) {
  while (tls_) {
    ERR_clear_error();
    const int result = SSL_accept(tls_.get());
    if (result == 1) break;
    const Io want = TlsOutcome(result);
    if (want == Io::kEnd) co_return false;
    const bool ready = co_await WaitFor(want, deadline);
    if (!ready) co_return false;
  }
  co_return true;
}

awaitable<size_t> Stream::Read(MutableBytes into, SteadyTime deadline) {
  for (;;) {
    size_t count = 0;
    const Io outcome = TryRead(into, &count);
    bytes_read_ += count;
    if (outcome == Io::kDone) co_return count;
    if (outcome == Io::kEnd) co_return 0;
    const bool ready = co_await WaitFor(outcome, deadline);
    if (!ready) co_return 0;
  }
}

void Stream::StartMeter(std::chrono::milliseconds stall, uint64_t min_rate) {
  stall_ = stall;
  min_rate_ = min_rate;
  meter_start_ = bytes_read_ + bytes_written_;
  waited_ = {};
}

bool Stream::TooSlow() const {
  if (waited_ <= stall_) return false;
  const uint64_t moved = bytes_read_ + bytes_written_ - meter_start_;
  const double seconds = std::chrono::duration<double>(waited_).count();
  return static_cast<double>(moved) < seconds * static_cast<double>(min_rate_);
}

awaitable<bool> Stream::WaitMetered(Io want) {
  const auto begin = std::chrono::steady_clock::now();
  const SteadyTime deadline = begin + stall_;
  const bool ready = co_await WaitFor(want, deadline);
  waited_ += std::chrono::steady_clock::now() - begin;
  if (ready && TooSlow()) timed_out_ = true;
  co_return ready && !timed_out_;
}

awaitable<size_t> Stream::ReadMetered(MutableBytes into) {
  for (;;) {
    size_t count = 0;
    const Io outcome = TryRead(into, &count);
    bytes_read_ += count;
    if (outcome == Io::kDone) co_return count;
    if (outcome == Io::kEnd) co_return 0;
    const bool ready = co_await WaitMetered(outcome);
    if (!ready) co_return 0;
  }
}

awaitable<bool> Stream::Write(ConstBytes bytes, bool more) {
  while (!bytes.empty()) {
    size_t count = 0;
    const Io outcome = TryWrite(bytes, more, &count);
    bytes_written_ += count;
    bytes = bytes.subspan(count);
    if (outcome == Io::kDone) continue;
    if (outcome == Io::kEnd) co_return false;
    const bool ready = co_await WaitMetered(outcome);
    if (!ready) co_return false;
  }
  co_return !aborted_;
}

awaitable<void> Stream::Linger(uint64_t budget, SteadyTime deadline) {
  if (tls_ && SSL_is_init_finished(tls_.get()) == 1) {
    ERR_clear_error();
    SSL_shutdown(tls_.get());  // sends close_notify where the socket takes it; does not wait
  }
  boost::system::error_code ignored;
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
  std::array<std::byte, 4096> dropped;
  while (budget > 0) {
    // Below TLS: nobody will look at these bytes.
    const ssize_t got = recv(socket_.native_handle(), dropped.data(), dropped.size(), MSG_DONTWAIT);
    if (got == 0) break;
    if (got > 0) {
      budget -= std::min(budget, static_cast<uint64_t>(got));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) break;
    const bool ready = co_await WaitFor(Io::kWantRead, deadline);
    if (!ready) break;
  }
}

Stream::Peek Stream::PeekPeer() {
  char byte;
  if (tls_) {
    size_t count = 0;
    ERR_clear_error();
    const int result = SSL_peek_ex(tls_.get(), &byte, 1, &count);
    if (result == 1) return Peek::kData;
    return TlsOutcome(result) == Io::kEnd ? Peek::kGone : Peek::kNothing;
  }
  const ssize_t got = recv(socket_.native_handle(), &byte, 1, MSG_DONTWAIT | MSG_PEEK);
  if (got > 0) return Peek::kData;
  const bool nothing = got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
  return nothing ? Peek::kNothing : Peek::kGone;
}

void Stream::WatchPeer(std::function<void()> gone) {
  StopWatching();
  watch_ = std::make_shared<PeerWatch>(PeerWatch{this, std::move(gone)});
  AwaitPeer(watch_);
}

void Stream::StopWatching() {
  if (!watch_) return;
  watch_->stream = nullptr;
  watch_.reset();
  boost::system::error_code ignored;
  socket_.cancel(ignored);  // the wait holds the watch
}

void Stream::AwaitPeer(const std::shared_ptr<PeerWatch>& watch) {
  const Peek peek = watch->stream->PeekPeer();
  if (peek == Peek::kGone) {
    watch->stream = nullptr;
    auto gone = std::move(watch->gone);
    return gone();
  }
  if (peek == Peek::kData) return;
  watch->stream->socket_.async_wait(tcp::socket::wait_read,
                                    [watch](const boost::system::error_code& error) {
                                      if (!error && watch->stream != nullptr) AwaitPeer(watch);
                                    });
}

}  // namespace signum::http
