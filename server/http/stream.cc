#include "server/http/stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <new>

namespace signum::http {

namespace asio = boost::asio;
using asio::awaitable;
using asio::ip::tcp;

namespace {

constexpr size_t kRecord = 16 * 1024;         // the greatest record's content
constexpr int kUnsent = 128 * 1024;           // bytes in the kernel that have not gone out yet
constexpr size_t kSealedBatch = 8 * kRecord;  // sent at once

// What OpenSSL writes to: appends to the std::string that is its data, so it never has to wait.
int AppendRecord(BIO* bio, const char* bytes, size_t size, size_t* written) {
  try {
    static_cast<std::string*>(BIO_get_data(bio))->append(bytes, size);
  } catch (const std::bad_alloc&) {
    return 0;  // no exception may pass through OpenSSL
  }
  *written = size;
  return 1;
}

long ControlRecords(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

const BIO_METHOD* RecordMethod() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "records");
    BIO_meth_set_write_ex(made, AppendRecord);
    BIO_meth_set_ctrl(made, ControlRecords);
    return made;
  }();
  return method;
}

}  // namespace

struct Stream::PeerWatch {
  Stream* stream;  // null once the stream is dead
  std::function<void()> gone;
};

Stream::Stream(tcp::socket socket, SSL_CTX* tls) : socket_(std::move(socket)) {
  boost::system::error_code ignored;
  socket_.set_option(tcp::no_delay(true), ignored);
  // Else the kernel keeps up to 4 MiB for each peer that does not read, and with thousands of them
  // none is left for the others. What is on its way does not count: fast lines stay full.
  setsockopt(socket_.native_handle(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &kUnsent, sizeof(kUnsent));
  socket_.native_non_blocking(true, ignored);
  if (tls != nullptr) StartTls(tls);
}

void Stream::StartTls(SSL_CTX* tls) {
  tls_.reset(SSL_new(tls));
  BIO* in = BIO_new_socket(socket_.native_handle(), BIO_NOCLOSE);
  BIO* out = BIO_new(RecordMethod());
  if (tls_ && in != nullptr && out != nullptr) {
    BIO_set_data(out, &sealed_);
    BIO_set_init(out, 1);
    SSL_set_bio(tls_.get(), in, out);
    return;
  }
  BIO_free(in);  // out of memory
  BIO_free(out);
  aborted_ = true;
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

bool Stream::client_verified() const {
  return tls_ != nullptr && SSL_get0_peer_certificate(tls_.get()) != nullptr &&
         SSL_get_verify_result(tls_.get()) == X509_V_OK;
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
    const Io outcome = result == 1 ? Io::kDone : TlsOutcome(result);
    FlushSealed(false);  // an alert, or the answer to a change of keys; what is left goes later
    return outcome;
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

Stream::Io Stream::TrySend(ConstBytes bytes, bool more, size_t* count) {
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

// Makes records of `bytes` until a batch is full.
Stream::Io Stream::Seal(ConstBytes bytes, size_t* count) {
  ERR_clear_error();
  sealed_.reserve(std::min(bytes.size(), kSealedBatch + kRecord) + 1024);
  while (*count < bytes.size() && sealed_.size() < kSealedBatch) {
    size_t taken = 0;
    const ConstBytes rest = bytes.subspan(*count);
    const int result = SSL_write_ex(tls_.get(), rest.data(), rest.size(), &taken);
    if (result != 1) return TlsOutcome(result);
    *count += taken;
  }
  return Io::kDone;
}

// Sends what there is of records.
Stream::Io Stream::FlushSealed(bool more) {
  while (sealed_sent_ < sealed_.size()) {
    size_t count = 0;
    const Io outcome = TrySend(AsBytes(sealed_).subspan(sealed_sent_), more, &count);
    if (outcome != Io::kDone) return outcome;
    sealed_sent_ += count;
  }
  sealed_.clear();
  sealed_sent_ = 0;
  return Io::kDone;
}

// `count` of `bytes` are taken, also where more can be taken only after a wait.
Stream::Io Stream::TryWrite(ConstBytes bytes, bool more, size_t* count) {
  if (!tls_) return TrySend(bytes, more, count);
  const Io sealed = sealed_.empty() ? Seal(bytes, count) : Io::kDone;
  const Io flushed = FlushSealed(more || *count < bytes.size());
  return flushed == Io::kDone ? sealed : flushed;
}

awaitable<bool> Stream::Handshake(SteadyTime deadline) {
  while (tls_) {
    ERR_clear_error();
    const int result = SSL_accept(tls_.get());
    const Io accepted = result == 1 ? Io::kDone : TlsOutcome(result);
    const Io flushed = FlushSealed(false);  // also what says why it failed
    const Io want = accepted == Io::kEnd || flushed == Io::kDone ? accepted : flushed;
    if (want == Io::kDone) break;
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
  while (!bytes.empty() || !sealed_.empty()) {
    size_t count = 0;
    const Io outcome = TryWrite(bytes, more, &count);
    bytes_written_ += count;
    bytes = bytes.subspan(count);
    if (outcome == Io::kDone) continue;
    if (outcome == Io::kEnd) co_return false;
    const bool ready = co_await WaitMetered(outcome);
    if (!ready) co_return false;
  }
  if (!more) std::string().swap(sealed_);  // idle connections hold no buffer
  co_return !aborted_;
}

awaitable<void> Stream::Linger(uint64_t budget, SteadyTime deadline) {
  if (tls_ && SSL_is_init_finished(tls_.get()) == 1) {
    ERR_clear_error();
    SSL_shutdown(tls_.get());
    FlushSealed(false);  // close_notify, where the socket takes it; does not wait
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
