#include <nlohmann/json.hpp>

#include "client/answer_fields.h"
#include "client/registry.h"

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

}  // namespace

Error ErrorFromResponse(const HttpResponse& response, std::string_view what) {
  const auto document = nlohmann::json::parse(response.body, nullptr, false);
  const std::string status = "HTTP " + std::to_string(response.status);
  std::string message = JsonStringOr(document, "detail", JsonStringOr(document, "title", status));
  const std::string request_id = JsonStringOr(document, "request_id", "");
  if (response.status >= 500 && !request_id.empty()) message += " (request " + request_id + ")";
  Errc code = CodeOfStatus(response.status);
  const std::string reason = JsonStringOr(document, "code", "http_error");
  if (reason == "digest_mismatch") code = Errc::kCorrupt;
  return Fail(code, reason, std::string(what) + ": " + message);
}

bool IsTransient(const Error& error) { return error.code == Errc::kUnavailable; }

}  // namespace signum::client
