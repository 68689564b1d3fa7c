#include <algorithm>
#include <nlohmann/json.hpp>

#include "client/answer_fields.h"
#include "client/registry.h"
#include "storage/base/name.h"
#include "storage/format/canonical_json.h"

namespace signum::client {

namespace {

Errc CodeOfStatus(int status) {
  switch (status) {
    case 401:
      return Errc::kUnauthorized;
    case 403:
      return Errc::kDenied;
    case 404:
    case 410:
      return Errc::kNotFound;
    case 409:
      return Errc::kConflict;
    case 412:
      return Errc::kPrecondition;
    case 413:
      return Errc::kTooLarge;
    case 422:
      return Errc::kUnusable;
    case 429:
    case 502:
    case 503:
    case 504:
      return Errc::kUnavailable;
    case 507:
      return Errc::kExhausted;
    default:
      return status >= 400 && status < 500 ? Errc::kInvalid : Errc::kInternal;
  }
}

// What the registry says goes into logs, reports and metrics, so it is held to a length and to
// printable ASCII, whatever was sent.
constexpr size_t kMaxMessage = 500;

std::string Legible(std::string text) {
  text.resize(std::min(text.size(), kMaxMessage));
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c < 0x20 || c > 0x7e; }, '?');
  return text;
}

bool IsReason(std::string_view text) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  };
  return !text.empty() && text.size() <= 40 && std::all_of(text.begin(), text.end(), fits);
}

}  // namespace

Error ErrorFromResponse(const HttpResponse& response, std::string_view what) {
  const Result<nlohmann::json> parsed = ParseJson(response.body);
  const nlohmann::json document = parsed ? *parsed : nlohmann::json();
  const std::string status = "HTTP " + std::to_string(response.status);
  std::string message = JsonStringOr(document, "detail", JsonStringOr(document, "title", status));
  const std::string request_id = JsonStringOr(document, "request_id", "");
  message = Legible(std::move(message));
  if (response.status >= 500 && !request_id.empty()) {
    message += " (request " + Printable(request_id) + ")";
  }
  Errc code = CodeOfStatus(response.status);
  std::string reason = JsonStringOr(document, "code", "");
  if (!IsReason(reason)) reason = "http_error";
  if (reason == "digest_mismatch") code = Errc::kCorrupt;
  return Fail(code, reason, std::string(what) + ": " + message);
}

bool IsTransient(const Error& error) { return error.code == Errc::kUnavailable; }

}  // namespace signum::client
