#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "server/http/connection.h"

namespace signum::http {

using boost::asio::awaitable;

namespace {

constexpr size_t kPiece = 512 * 1024;
constexpr size_t kHeld = 1024 * 1024;  // a chunk of the store
constexpr size_t kJoined = 64 * 1024;  // bodies up to this go out in one write with the head

// The pages that hold `bytes`, whole.
std::pair<void*, size_t> Pages(ConstBytes bytes) {
  static const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(bytes.data()) & ~(page - 1);
  const auto end = reinterpret_cast<uintptr_t>(bytes.data()) + bytes.size();
  return {reinterpret_cast<void*>(begin), end - begin};
}

Result<HeldBytes> HoldGuarded(const ByteSource& source, uint64_t offset, uint64_t most) {
  try {
    return source.Hold(offset, most);
  } catch (const std::exception& failure) {
    return Fail(Errc::kInternal, "internal", std::string("internal error: ") + failure.what());
  }
}

// Whether sending `bytes` will not wait for a disk.
bool Resident(ConstBytes bytes) {
  const auto [begin, size] = Pages(bytes);
  std::array<unsigned char, kPiece / 4096 + 1> pages;
  if (mincore(begin, size, pages.data()) != 0) return false;
  const size_t count = (size + 4095) / 4096;
  return std::all_of(pages.begin(), pages.begin() + static_cast<std::ptrdiff_t>(count),
                     [](unsigned char page) { return (page & 1) != 0; });
}

}  // namespace

std::string Connection::Head(const Exchange& exchange, Framing framing, uint64_t length) const {
  return FormatHead(*exchange.response, exchange.request.id, framing, length, exchange.keep_alive);
}

awaitable<bool> Connection::Send(Exchange& exchange) {
  Response& response = *exchange.response;
  if (std::holds_alternative<Pending>(response.body)) {
    const bool answered = co_await ResolvePending(exchange);
    if (!answered) co_return false;
  }
  exchange.status = response.status;
  if (std::holds_alternative<EventStream>(response.body)) {
    co_return co_await SendEvents(exchange);
  }
  if (std::holds_alternative<SourceBody>(response.body)) {
    co_return co_await SendSource(exchange);
  }
  co_return co_await SendWhole(exchange);
}

awaitable<bool> Connection::SendWhole(Exchange& exchange) {
  const Response& response = *exchange.response;
  const auto& body = std::get<std::string>(response.body);
  const bool bodiless = response.status == 204 || response.status == 304;
  std::string head = Head(exchange, bodiless ? Framing::kNone : Framing::kLength, body.size());
  const bool silent = bodiless || body.empty() || exchange.request.method == "HEAD";
  if (!silent && body.size() <= kJoined) head += body;
  const bool joined = silent || body.size() <= kJoined;
  bool sent = co_await stream_.Write(AsBytes(head), !joined);
  if (sent && !joined) sent = co_await stream_.Write(AsBytes(body), false);
  co_return sent;
}

awaitable<bool> Connection::SendSource(Exchange& exchange) {
  Response& response = *exchange.response;
  const SourceBody body = std::get<SourceBody>(response.body);
  const std::string head = Head(exchange, Framing::kLength, body.length);
  const bool silent = exchange.request.method == "HEAD" || body.length == 0;
  if (silent) co_return co_await stream_.Write(AsBytes(head), false);
  const ConstBytes view = body.source->View();
  const bool viewed = CheckRange(body.offset, body.length, view.size()).has_value();
  if (!viewed) co_return co_await SendPieces(exchange, body, head);
  const bool begun = co_await stream_.Write(AsBytes(head), true);
  if (!begun) co_return false;
  const ConstBytes window = view.subspan(body.offset, body.length);
  co_return co_await SendView(window);
}

awaitable<bool> Connection::SendView(ConstBytes view) {
  while (!view.empty()) {
    const ConstBytes piece = view.first(std::min(view.size(), kPiece));
    if (!Resident(piece)) {
      const std::function<void()> fetch = [piece] {
        const auto [begin, size] = Pages(piece);
        madvise(begin, size, MADV_POPULATE_READ);
      };
      co_await OnPool(fetch);
    }
    view = view.subspan(piece.size());
    const bool sent = co_await stream_.Write(piece, !view.empty());
    if (!sent) co_return false;
  }
  co_return true;
}

// Holds the next piece while the last one is written. The first one is held before the head goes
// out, so that a source that fails at once still gets its problem document; one that fails later
// breaks the connection off, which the client sees by the length.
awaitable<bool> Connection::SendPieces(Exchange& exchange, const SourceBody& body,
                                       const std::string& head) {
  uint64_t offset = body.offset;
  const uint64_t end = body.offset + body.length;
  Result<HeldBytes> arriving = HeldBytes{};
  const std::function<void()> hold = [&] {
    arriving = HoldGuarded(*body.source, offset, std::min<uint64_t>(kHeld, end - offset));
  };
  co_await OnPool(hold);
  if (!arriving) {
    exchange.response = Problem(arriving.error(), exchange.request.id);
    exchange.status = exchange.response->status;
    co_return co_await SendWhole(exchange);
  }
  bool open = co_await stream_.Write(AsBytes(head), true);
  while (open && arriving) {
    const HeldBytes sending = std::move(*arriving);
    offset += sending.bytes.size();
    Job job;
    if (offset < end) Launch(&job, hold);
    open = co_await stream_.Write(sending.bytes, offset < end);
    co_await Join(job);
    if (offset == end) co_return open;
  }
  co_return false;
}

}  // namespace signum::http
