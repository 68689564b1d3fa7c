#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "server/http/message.h"

// Conditional requests and ranges (RFC 9110 §13 and §14). Entity tags are passed as they stand in a
// header, quotes included: see StrongETag.

namespace signum::http {

// "abc" → "\"abc\"". `opaque` must hold neither quotes nor control characters.
std::string StrongETag(std::string_view opaque);

// Whether a list as in If-Match or If-None-Match ("*", or tags parted by commas) holds `etag`.
// Strong comparison: a tag marked W/ equals nothing. A list that does not parse matches nothing.
enum class Comparison { kStrong, kWeak };
bool ETagListMatches(std::string_view list, std::string_view etag, Comparison comparison);

enum class Verdict { kProceed, kNotModified, kPreconditionFailed };

// Weighs If-Match, then If-None-Match against the resource's present tag (nullopt: it does not
// exist). kNotModified only for GET and HEAD.
Verdict EvaluateConditions(const Request& request, std::optional<std::string_view> etag);

struct WholeBody {};
struct ByteRange {
  uint64_t offset = 0;
  uint64_t length = 0;
};
struct Unsatisfiable {};
using RangeChoice = std::variant<WholeBody, ByteRange, Unsatisfiable>;

// What a Range header asks of `size` bytes. Other units, malformed headers and several ranges at
// once give the whole, as RFC 9110 allows.
RangeChoice ParseRange(std::string_view header, uint64_t size);

// The same for a request: only GET, and only where If-Range (if any) holds strongly.
RangeChoice SelectRange(const Request& request, std::string_view etag, uint64_t size);

}  // namespace signum::http
