#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <optional>

#include "server/app.h"
#include "server/principal.h"
#include "storage/base/digest.h"
#include "storage/idempotency.h"

namespace signum {
namespace {

constexpr size_t kMaxKey = 255;
// Headers of an answer that say something of what was done.
constexpr std::array<std::string_view, 4> kKeptHeaders = {"Content-Type", "Location", "ETag",
                                                          "Cache-Control"};

// What makes two requests the same. Lengths part the pieces, so that no two requests run together.
Digest RequestDigest(const http::Request& request) {
  Sha256 hash;
  for (const std::string_view piece :
       {std::string_view(request.method), std::string_view(request.target),
        request.Header("if-match"), request.Header("if-none-match"),
        std::string_view(request.body)}) {
    const uint64_t size = piece.size();
    hash.Update(std::as_bytes(std::span(&size, 1)));
    hash.Update(AsBytes(piece));
  }
  return hash.Finish();
}

Result<void> CheckKey(std::string_view key) {
  const bool printable =
      std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c < 127; });
  if (printable && !key.empty() && key.size() <= kMaxKey) return {};
  return Fail(Errc::kInvalid, "bad_idempotency_key",
              "Idempotency-Key must be 1 to 255 printable characters");
}

// The key, also an empty one: whoever sends that relies on it, and would have nothing.
std::optional<std::string_view> KeyOf(const http::Request& request) {
  for (const auto& [name, value] : request.headers) {
    if (name == "idempotency-key") return value;
  }
  return std::nullopt;
}

http::Response Replay(const StoredAnswer& answer) {
  http::Response response;
  response.status = answer.status;
  response.headers = answer.headers;
  response.Set("Idempotency-Replayed", "true");
  response.body = answer.body;
  return response;
}

StoredAnswer AnswerOf(http::Response response) {
  StoredAnswer answer{response.status, {}, std::get<std::string>(std::move(response.body))};
  for (auto& header : response.headers) {
    if (std::find(kKeptHeaders.begin(), kKeptHeaders.end(), header.first) != kKeptHeaders.end()) {
      answer.headers.push_back(std::move(header));
    }
  }
  return answer;
}

// A failure of ours is not an answer: the same request may succeed when it is sent again.
bool IsWorthKeeping(const http::Response& response) {
  return response.status < 500 && response.status != 429 &&
         std::holds_alternative<std::string>(response.body);
}

void Keep(IdempotencyStore::Run& run, const http::Response& response, KeptResponse kept) {
  auto finished = run.Finish(AnswerOf(kept == nullptr ? response : kept(response)));
  if (finished.has_error()) {
    spdlog::error("answer not kept for its Idempotency-Key: {}", finished.error().message);
  }
}

}  // namespace

http::Handler Idempotent(App& app, http::Handler handler, KeptResponse kept) {
  return [&app, handler = std::move(handler), kept](const http::Request& request,
                                                    const http::Params& params) {
    const auto key = KeyOf(request);
    if (!key) return handler(request, params);
    if (auto fine = CheckKey(*key); fine.has_error())
      return http::Problem(fine.error(), request.id);
    auto begun = app.idempotency.Begin(Caller(request).id, *key, RequestDigest(request));
    if (begun.has_error()) return http::Problem(begun.error(), request.id);
    if (begun->answer) return Replay(*begun->answer);
    http::Response response = handler(request, params);
    if (IsWorthKeeping(response)) Keep(*begun->run, response, kept);
    return response;
  };
}

}  // namespace signum
