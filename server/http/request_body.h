#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "server/http/request_parser.h"
#include "server/http/stream.h"

namespace signum::http {

// The body of one request as it comes off a stream. `buffered` holds what was already read past the
// head; what is left in it when the body ends is the next request's. `scratch` may be shared by all
// streams of the I/O thread: it is read into and emptied without a suspension between.
class RequestBody {
 public:
  RequestBody(Stream& stream, std::string& buffered, MutableBytes scratch, const RequestHead& head,
              std::unique_ptr<RequestParser> parser);

  enum class State {
    kMore,
    kEnd,
    kVanished,  // the client closed or broke off
    kTooSlow,   // no progress, or less than the least rate
    kMalformed  // refusal() says what
  };
  // Replaces `piece` by the next `want` bytes, fewer at the end of the body or where it breaks off
  // (a chunked body may overshoot by a scratch).
  boost::asio::awaitable<State> Next(std::string* piece, size_t want);

  bool done() const { return state_ == State::kEnd; }
  const Refusal& refusal() const { return refusal_; }
  // Whether so little is left that reading it costs less than a new connection.
  bool NearEnd() const { return done() || (!parser_ && remaining_ <= kNearEnd); }

 private:
  static constexpr uint64_t kNearEnd = 64 * 1024;

  boost::asio::awaitable<State> NextPlain(std::string* piece, size_t want);
  boost::asio::awaitable<State> NextChunks(std::string* piece, size_t want);
  State Broken() const;

  Stream& stream_;
  std::string& buffered_;
  MutableBytes scratch_;
  std::unique_ptr<RequestParser> parser_;  // of a chunked body, else null
  uint64_t remaining_;
  State state_;
  Refusal refusal_;
};

}  // namespace signum::http
