#include "server/http/conditional.h"

#include <algorithm>
#include <charconv>
#include <limits>

namespace signum::http {
namespace {

void SkipSpace(std::string_view* text) {
  while (!text->empty() && (text->front() == ' ' || text->front() == '\t')) text->remove_prefix(1);
}

std::string_view Trim(std::string_view text) {
  SkipSpace(&text);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

struct ParsedTag {
  bool weak = false;
  std::string_view tag;  // with its quotes
};

// Takes one entity-tag off the front of `text`.
std::optional<ParsedTag> TakeTag(std::string_view* text) {
  ParsedTag parsed;
  if (text->starts_with("W/")) {
    parsed.weak = true;
    text->remove_prefix(2);
  }
  if (!text->starts_with('"')) return std::nullopt;
  const size_t end = text->find('"', 1);
  if (end == std::string_view::npos) return std::nullopt;
  parsed.tag = text->substr(0, end + 1);
  text->remove_prefix(end + 1);
  return parsed;
}

// Digits only; what does not fit 64 bits becomes the greatest value, which lies past any body.
std::optional<uint64_t> ParsePosition(std::string_view digits) {
  uint64_t value = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, code] = std::from_chars(digits.data(), end, value);
  if (digits.empty() || stop != end) return std::nullopt;
  if (code == std::errc::result_out_of_range) return std::numeric_limits<uint64_t>::max();
  return code == std::errc() ? std::optional(value) : std::nullopt;
}

RangeChoice SuffixRange(uint64_t wanted, uint64_t size) {
  const uint64_t length = std::min(wanted, size);
  if (length == 0) return Unsatisfiable{};
  return ByteRange{size - length, length};
}

}  // namespace

std::string StrongETag(std::string_view opaque) { return '"' + std::string(opaque) + '"'; }

bool ETagListMatches(std::string_view list, std::string_view etag, Comparison comparison) {
  list = Trim(list);
  if (list == "*") return true;
  bool found = false;
  while (!list.empty()) {
    const auto tag = TakeTag(&list);
    if (!tag) return false;
    if (tag->tag == etag && (!tag->weak || comparison == Comparison::kWeak)) found = true;
    SkipSpace(&list);
    if (list.empty()) break;
    if (list.front() != ',') return false;
    while (!list.empty() && (list.front() == ',' || list.front() == ' ' || list.front() == '\t')) {
      list.remove_prefix(1);
    }
  }
  return found;
}

Verdict EvaluateConditions(const Request& request, std::optional<std::string_view> etag) {
  if (const auto list = request.Header("if-match"); !list.empty()) {
    if (!etag || !ETagListMatches(list, *etag, Comparison::kStrong)) {
      return Verdict::kPreconditionFailed;
    }
  }
  if (const auto list = request.Header("if-none-match"); !list.empty()) {
    if (etag && ETagListMatches(list, *etag, Comparison::kWeak)) {
      const bool reads = request.method == "GET" || request.method == "HEAD";
      return reads ? Verdict::kNotModified : Verdict::kPreconditionFailed;
    }
  }
  return Verdict::kProceed;
}

RangeChoice ParseRange(std::string_view header, uint64_t size) {
  constexpr std::string_view kUnit = "bytes=";
  if (header.size() < kUnit.size() ||
      !std::equal(kUnit.begin(), kUnit.end(), header.begin(),
                  [](char unit, char c) { return unit == c || unit == (c | 0x20); })) {
    return WholeBody{};
  }
  const std::string_view spec = Trim(header.substr(kUnit.size()));
  const size_t dash = spec.find('-');
  if (dash == std::string_view::npos || spec.find(',') != std::string_view::npos) {
    return WholeBody{};
  }
  const auto first = ParsePosition(spec.substr(0, dash));
  const auto last = ParsePosition(spec.substr(dash + 1));
  if (dash == 0) return last ? SuffixRange(*last, size) : RangeChoice(WholeBody{});
  if (!first || (!last && dash + 1 != spec.size())) return WholeBody{};
  if (last && *last < *first) return WholeBody{};
  if (*first >= size) return Unsatisfiable{};
  const uint64_t end = last && *last < size - 1 ? *last + 1 : size;
  return ByteRange{*first, end - *first};
}

RangeChoice SelectRange(const Request& request, std::string_view etag, uint64_t size) {
  const auto range = request.Header("range");
  if (request.method != "GET" || range.empty()) return WholeBody{};
  if (const auto condition = Trim(request.Header("if-range")); !condition.empty()) {
    if (condition != etag || condition.starts_with("W/")) return WholeBody{};
  }
  return ParseRange(range, size);
}

}  // namespace signum::http
