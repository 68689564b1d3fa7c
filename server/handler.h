#pragma once

#include <chrono>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "server/http/router.h"
#include "storage/base/result.h"

// What the handlers of every group share: failing as a Result, paging, absolute links, quoted tags.

namespace signum {

// A handler that may fail; its error becomes the problem document.
using FallibleHandler =
    std::function<Result<http::Response>(const http::Request&, const http::Params&)>;
http::Handler Answer(FallibleHandler handler);

// 429 with Retry-After: rounded up to whole seconds, at least one.
http::Response TooManyRequests(std::string_view code, std::string_view detail,
                               std::string_view request_id, std::chrono::milliseconds wait);

// A JSON resource with its entity tag (quotes included) as GET and HEAD see it: 200, or 304 or 412
// as the request's conditions have it.
http::Response ShowJson(const http::Request& request, std::string body, const std::string& etag);
// Errc::kPrecondition "etag_mismatch" where the conditions of a change do not hold for what is
// there now.
Result<void> CheckConditions(const http::Request& request, const std::string& etag);

// A page of a list as asked for: `limit` 1…1000 (100 where absent), `after` the cursor of the
// answer before. Errc::kInvalid "bad_query" names the parameter.
struct Page {
  std::string after;
  size_t limit = 100;

  uint64_t AfterNumber() const;  // the cursor of lists that are numbered; 0 where absent
};
Result<Page> PageOf(const http::Request& request);
// As PageOf for numbered lists: a cursor that is not a number is refused.
Result<Page> NumberedPageOf(const http::Request& request);

// {"<plural>": items, "next": the last item's cursor, or null where the page was not full}.
http::Response ListResponse(std::string_view plural, nlohmann::json items, const Page& page,
                            std::string_view last_cursor);

// `path` (already percent-encoded) on the host the caller addressed.
std::string Link(const http::Request& request, std::string_view path);
// Percent-encodes a file path for a URL, keeping its slashes.
std::string EncodePath(std::string_view path);
// A decimal number of at most 18 digits without sign, as versions and file indexes are written in
// paths.
bool ParseNumber(std::string_view text, uint64_t* number);

}  // namespace signum
