#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "server/http/tls.h"
#include "storage/base/bytes.h"

namespace signum::http {

using SteadyTime = std::chrono::steady_clock::time_point;

// One accepted connection as a stream of bytes, plain or TLS. Belongs to one I/O thread; not
// thread-safe. Nothing here allocates while it waits; deadlines cost one store, because a tick of
// the I/O thread compares them all (CheckDeadline). TLS records are collected and sent many at a
// time: a send a record, as OpenSSL does by itself, costs more than copying them once.
class Stream {
 public:
  // `tls` null: plain.
  Stream(boost::asio::ip::tcp::socket socket, SSL_CTX* tls);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  boost::asio::awaitable<bool> Handshake(SteadyTime deadline);

  // Waits until there is something to read; false when the deadline passed or Abort was called.
  boost::asio::awaitable<bool> WaitReadable(SteadyTime deadline);
  // Reads at least a byte and at most `into`; 0 at the end of the stream, on failure or past the
  // deadline.
  boost::asio::awaitable<size_t> Read(MutableBytes into, SteadyTime deadline);

  // Limits of body transfers, both ways: no progress for `stall`, or, once more than that was spent
  // waiting for the peer, fewer than `min_rate` bytes a second of waiting. Counts from here on.
  void StartMeter(std::chrono::milliseconds stall, uint64_t min_rate);
  boost::asio::awaitable<size_t> ReadMetered(MutableBytes into);
  // Writes it all. `more`: further bytes follow at once, so that a packet need not go out yet.
  boost::asio::awaitable<bool> Write(ConstBytes bytes, bool more);

  // Sends the end of the stream, then reads and drops what the peer still sends (at most `budget`
  // bytes, until `deadline`), so that it sees the answer rather than a reset.
  boost::asio::awaitable<void> Linger(uint64_t budget, SteadyTime deadline);

  // Watches for the peer's leaving while nothing is read: `gone` runs once, on this I/O thread,
  // maybe before this returns. Ends when the peer sends something, or at StopWatching.
  void WatchPeer(std::function<void()> gone);
  void StopWatching();

  void CheckDeadline(SteadyTime now);  // called by the tick
  void Abort();                        // ends every wait, now and later
  bool aborted() const { return aborted_; }
  bool timed_out() const { return timed_out_; }
  bool secure() const { return tls_ != nullptr; }
  bool client_verified() const;  // by a certificate of the client's, after the handshake
  uint64_t bytes_read() const { return bytes_read_; }
  uint64_t bytes_written() const { return bytes_written_; }

 private:
  enum class Io { kDone, kWantRead, kWantWrite, kEnd };
  struct PeerWatch;

  Io TryRead(MutableBytes into, size_t* count);
  Io TryWrite(ConstBytes bytes, bool more, size_t* count);
  Io TrySend(ConstBytes bytes, bool more, size_t* count);
  Io Seal(ConstBytes bytes, size_t* count);
  Io FlushSealed(bool more);
  void StartTls(SSL_CTX* tls);
  Io TlsOutcome(int result);
  enum class Peek { kData, kNothing, kGone };
  Peek PeekPeer();
  boost::asio::awaitable<bool> WaitFor(Io want, SteadyTime deadline);
  boost::asio::awaitable<bool> WaitMetered(Io want);
  bool TooSlow() const;
  static void AwaitPeer(const std::shared_ptr<PeerWatch>& watch);

  boost::asio::ip::tcp::socket socket_;
  std::string sealed_;      // TLS records on their way; tls_ writes to it
  size_t sealed_sent_ = 0;  // of them
  TlsSession tls_;
  SteadyTime deadline_ = SteadyTime::max();
  bool timed_out_ = false;
  bool aborted_ = false;
  uint64_t bytes_read_ = 0;
  uint64_t bytes_written_ = 0;
  std::shared_ptr<PeerWatch> watch_;

  std::chrono::milliseconds stall_{0};
  uint64_t min_rate_ = 0;
  uint64_t meter_start_ = 0;
  std::chrono::steady_clock::duration waited_{0};
};

}  // namespace signum::http
