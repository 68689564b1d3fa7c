#include "server/http/request_body.h"

#include <algorithm>

namespace signum::http {

using boost::asio::awaitable;

namespace {
constexpr size_t kMaxChunkHeader = 16 * 1024;  // also of all trailers
}

RequestBody::RequestBody(Stream& stream, std::string& buffered, MutableBytes scratch,
                         const RequestHead& head, std::unique_ptr<RequestParser> parser)
    : stream_(stream),
      buffered_(buffered),
      scratch_(scratch),
      parser_(head.chunked ? std::move(parser) : nullptr),
      remaining_(head.content_length),
      state_(head.chunked || head.content_length > 0 ? State::kMore : State::kEnd) {}

RequestBody::State RequestBody::Broken() const {
  return stream_.timed_out() ? State::kTooSlow : State::kVanished;
}

awaitable<RequestBody::State> RequestBody::Next(std::string* piece, size_t want) {
  piece->clear();
  if (state_ != State::kMore) co_return state_;
  if (parser_) {
    state_ = co_await NextChunks(piece, want);
  } else {
    state_ = co_await NextPlain(piece, want);
  }
  co_return state_;
}

awaitable<RequestBody::State> RequestBody::NextPlain(std::string* piece, size_t want) {
  const auto size = static_cast<size_t>(std::min<uint64_t>(want, remaining_));
  size_t filled = std::min(size, buffered_.size());
  piece->assign(buffered_, 0, filled);
  buffered_.erase(0, filled);
  if (filled < size) piece->resize(size);
  while (filled < size) {
    const MutableBytes rest{reinterpret_cast<std::byte*>(piece->data()) + filled, size - filled};
    const size_t got = co_await stream_.ReadMetered(rest);
    if (got == 0) break;
    filled += got;
  }
  piece->resize(filled);
  remaining_ -= filled;
  if (filled < size) co_return Broken();
  co_return remaining_ == 0 ? State::kEnd : State::kMore;
}

awaitable<RequestBody::State> RequestBody::NextChunks(std::string* piece, size_t want) {
  for (;;) {
    auto outcome = parser_->ParseChunks(buffered_, piece);
    if (auto* refusal = std::get_if<Refusal>(&outcome)) {
      refusal_ = std::move(*refusal);
      co_return State::kMalformed;
    }
    buffered_.erase(0, std::get<size_t>(outcome));
    if (parser_->body_done()) co_return State::kEnd;
    if (buffered_.size() > kMaxChunkHeader) {
      refusal_ = {400, "chunk_header_too_large", "a chunk header or the trailers exceed 16 KiB"};
      co_return State::kMalformed;
    }
    if (piece->size() >= want) co_return State::kMore;
    const size_t got = co_await stream_.ReadMetered(scratch_);
    if (got == 0) co_return Broken();
    buffered_.append(reinterpret_cast<const char*>(scratch_.data()), got);
  }
}

}  // namespace signum::http
