#include "server/http/message.h"

#include <nlohmann/json.hpp>

namespace signum::http {

std::string_view Request::Header(std::string_view lower_case_name) const {
  for (const auto& [name, value] : headers) {
    if (name == lower_case_name) return value;
  }
  return {};
}

std::optional<std::string_view> Request::Query(std::string_view name) const {
  for (const auto& [key, value] : query) {
    if (key == name) return value;
  }
  return std::nullopt;
}

std::vector<std::string_view> Request::QueryAll(std::string_view name) const {
  std::vector<std::string_view> found;
  for (const auto& [key, value] : query) {
    if (key == name) found.push_back(value);
  }
  return found;
}

int StatusOf(const Error& error) {
  switch (error.code) {
    case Errc::kInvalid:
      return 400;
    case Errc::kUnauthorized:
      return 401;
    case Errc::kDenied:
      return 403;
    case Errc::kNotFound:
      return 404;
    case Errc::kConflict:
    case Errc::kCancelled:
      return 409;
    case Errc::kPrecondition:
      return 412;
    case Errc::kTooLarge:
      return 413;
    case Errc::kUnusable:
      return 422;
    case Errc::kUnavailable:
      return 503;
    case Errc::kExhausted:
      return 507;
    case Errc::kCorrupt:
    case Errc::kInternal:
      break;
  }
  return 500;
}

std::string_view ReasonPhrase(int status) {
  static constexpr std::pair<int, std::string_view> kPhrases[] = {
      {100, "Continue"},
      {200, "OK"},
      {201, "Created"},
      {202, "Accepted"},
      {204, "No Content"},
      {206, "Partial Content"},
      {301, "Moved Permanently"},
      {302, "Found"},
      {303, "See Other"},
      {304, "Not Modified"},
      {307, "Temporary Redirect"},
      {308, "Permanent Redirect"},
      {400, "Bad Request"},
      {401, "Unauthorized"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {406, "Not Acceptable"},
      {408, "Request Timeout"},
      {409, "Conflict"},
      {410, "Gone"},
      {411, "Length Required"},
      {412, "Precondition Failed"},
      {413, "Content Too Large"},
      {414, "URI Too Long"},
      {415, "Unsupported Media Type"},
      {416, "Range Not Satisfiable"},
      {417, "Expectation Failed"},
      {422, "Unprocessable Content"},
      {428, "Precondition Required"},
      {429, "Too Many Requests"},
      {431, "Request Header Fields Too Large"},
      {460, "Checksum Mismatch"},
      {500, "Internal Server Error"},
      {501, "Not Implemented"},
      {502, "Bad Gateway"},
      {503, "Service Unavailable"},
      {504, "Gateway Timeout"},
      {505, "HTTP Version Not Supported"},
      {507, "Insufficient Storage"},
  };
  for (const auto& [known, phrase] : kPhrases) {
    if (known == status) return phrase;
  }
  return "Unknown";
}

Response ProblemStatus(int status, std::string_view code, std::string_view detail,
                       std::string_view request_id) {
  // An ordered document, so that `status` and `detail` come first for people who read it raw.
  nlohmann::ordered_json document = {
      {"type", "about:blank"}, {"title", ReasonPhrase(status)},
      {"status", status},      {"detail", detail},
      {"code", code},          {"request_id", request_id},
  };
  Response response =
      Json(status, document.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  response.headers.front().second = "application/problem+json";
  response.Set("Cache-Control", "no-store");
  if (status == 401) response.Set("WWW-Authenticate", "Bearer realm=\"signum\"");
  if (status == 503) response.Set("Retry-After", "1");
  return response;
}

Response Problem(const Error& error, std::string_view request_id) {
  return ProblemStatus(StatusOf(error), error.reason, error.message, request_id);
}

Response Json(int status, std::string body) {
  Response response;
  response.status = status;
  response.Set("Content-Type", "application/json");
  response.body = std::move(body);
  return response;
}

}  // namespace signum::http
