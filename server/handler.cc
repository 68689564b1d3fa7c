#include "server/handler.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "server/http/conditional.h"

namespace signum {
namespace {

constexpr size_t kMaxPage = 1000;
constexpr std::chrono::seconds kJobRetry{10};  // nobody can tell when a job will have ended

bool IsUnreserved(char c) {
  const bool alphanumeric =
      (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  return alphanumeric || c == '-' || c == '.' || c == '_' || c == '~' || c == '/';
}

}  // namespace

http::Handler Answer(FallibleHandler handler) {
  return [handler = std::move(handler)](const http::Request& request, const http::Params& params) {
    Result<http::Response> answer = handler(request, params);
    if (!answer.has_error()) return *std::move(answer);
    const Error& error = answer.error();
    if (error.reason == "bad_content_type") {
      return http::ProblemStatus(415, error.reason, error.message, request.id);
    }
    if (error.reason == "too_many_jobs") {
      return TooManyRequests(error.reason, error.message, request.id, kJobRetry);
    }
    return http::Problem(error, request.id);
  };
}

http::Response TooManyRequests(std::string_view code, std::string_view detail,
                               std::string_view request_id, std::chrono::milliseconds wait) {
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(wait).count();
  http::Response response = http::ProblemStatus(429, code, detail, request_id);
  response.Set("Retry-After", std::to_string(std::max<int64_t>(1, seconds)));
  return response;
}

Result<void> CheckConditions(const http::Request& request, const std::string& etag) {
  if (http::EvaluateConditions(request, etag) != http::Verdict::kPreconditionFailed) return {};
  return Fail(Errc::kPrecondition, "etag_mismatch",
              "the resource is not what the request expects: its ETag is " + etag);
}

http::Response ShowJson(const http::Request& request, std::string body, const std::string& etag) {
  if (const auto holds = CheckConditions(request, etag); holds.has_error()) {
    return http::Problem(holds.error(), request.id);
  }
  http::Response response = http::Json(200, std::move(body));
  response.Set("ETag", etag);
  response.Set("Cache-Control", "no-cache");
  if (http::EvaluateConditions(request, etag) == http::Verdict::kNotModified) {
    response.status = 304;
    response.body = std::string();
  }
  return response;
}

uint64_t Page::AfterNumber() const {
  uint64_t number = 0;
  return ParseNumber(after, &number) ? number : 0;
}

Result<Page> PageOf(const http::Request& request) {
  Page page;
  page.after = request.Query("after").value_or("");
  if (const auto limit = request.Query("limit")) {
    uint64_t number = 0;
    if (!ParseNumber(*limit, &number) || number == 0 || number > kMaxPage) {
      return Fail(Errc::kInvalid, "bad_query", "query parameter 'limit' must be 1 to 1000");
    }
    page.limit = number;
  }
  return page;
}

Result<Page> NumberedPageOf(const http::Request& request) {
  SIGNUM_ASSIGN(Page page, PageOf(request));
  uint64_t number = 0;
  constexpr uint64_t kMost = (1ull << 53) - 1;  // what every JSON reader keeps exactly
  if (!page.after.empty() && (!ParseNumber(page.after, &number) || number > kMost)) {
    return Fail(Errc::kInvalid, "bad_query", "query parameter 'after' must be a number here");
  }
  return page;
}

http::Response ListResponse(std::string_view plural, nlohmann::json items, const Page& page,
                            std::string_view last_cursor) {
  nlohmann::json answer;
  const bool full = items.size() >= page.limit;
  answer["next"] = full ? nlohmann::json(last_cursor) : nlohmann::json(nullptr);
  answer[std::string(plural)] = std::move(items);
  return http::Json(200, answer.dump());
}

std::string Link(const http::Request& request, std::string_view path) {
  return request.base_url + std::string(path);
}

std::string EncodePath(std::string_view path) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : path) {
    if (IsUnreserved(c)) {
      encoded.push_back(c);
    } else {
      const auto byte = static_cast<unsigned char>(c);
      encoded.append({'%', kHex[byte >> 4], kHex[byte & 15]});
    }
  }
  return encoded;
}

bool ParseNumber(std::string_view text, uint64_t* number) {
  if (text.empty() || text.size() > 18) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace signum
