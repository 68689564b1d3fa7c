#include "server/http/url.h"

#include <algorithm>
#include <array>
#include <optional>

namespace signum::http {
namespace {

constexpr size_t kMaxSegments = 64;
constexpr size_t kMaxParameters = 256;

Error Bad(std::string_view why) {
  return Fail(Errc::kInvalid, "bad_target", "request target: " + std::string(why));
}

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Result<std::string> Decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      if (text.size() - i < 3) return Bad("a percent escape is cut off");
      const int high = HexValue(text[i + 1]);
      const int low = HexValue(text[i + 2]);
      if (high < 0 || low < 0) return Bad("a percent escape is not hexadecimal");
      out.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    } else {
      out.push_back(plus_is_space && text[i] == '+' ? ' ' : text[i]);
    }
  }
  if (!CleanUtf8(out)) return Bad("not UTF-8 text without control characters");
  return out;
}

Result<void> ParsePath(std::string_view path, bool slashes, Target* target) {
  if (!path.starts_with('/')) return Bad("the path must begin with '/'");
  target->path = "/";
  if (path.size() == 1) return {};
  for (size_t begin = 1; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    SIGNUM_ASSIGN(auto segment, Decode(path.substr(begin, end - begin), false));
    if (segment == "." || segment == "..") return Bad("dot segments are not allowed");
    if (!slashes && segment.find('/') != std::string::npos) {
      return Bad("a segment holds an encoded slash");
    }
    if (target->segments.size() == kMaxSegments) return Bad("more than 64 path segments");
    if (!target->segments.empty()) target->path += '/';
    target->path += segment;
    target->segments.push_back(std::move(segment));
    begin = end + 1;
  }
  return {};
}

Result<void> ParseQuery(std::string_view query, Target* target) {
  while (!query.empty()) {
    const size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (pair.empty()) continue;
    const size_t equals = std::min(pair.find('='), pair.size());
    SIGNUM_ASSIGN(auto key, Decode(pair.substr(0, equals), true));
    SIGNUM_ASSIGN(auto value, Decode(pair.substr(std::min(equals + 1, pair.size())), true));
    if (target->query.size() == kMaxParameters) return Bad("more than 256 query parameters");
    target->query.emplace_back(std::move(key), std::move(value));
  }
  return {};
}

// Takes "http://host" off the front of an absolute-form target; leaves "/…" or "?…".
Result<void> TakeAuthority(std::string_view* target, std::string* authority) {
  const size_t scheme = target->find("://");
  if (scheme == std::string_view::npos) return Bad("neither a path nor an absolute URI");
  std::string name(target->substr(0, scheme));
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  if (name != "http" && name != "https") return Bad("the scheme must be http or https");
  target->remove_prefix(scheme + 3);
  const size_t end = std::min(target->find_first_of("/?#"), target->size());
  *authority = target->substr(0, end);
  if (!ValidHost(*authority)) return Bad("the authority is not a host with a port");
  target->remove_prefix(end);
  return {};
}

// Length of the well-formed UTF-8 sequence (RFC 3629) at the start of `s`, 0 where there is none.
size_t SequenceLength(std::string_view s) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(s[i]); };
  const auto in = [&](size_t i, unsigned low, unsigned high) {
    return i < s.size() && byte(i) >= low && byte(i) <= high;
  };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first < 0xC2 || first > 0xF4) return 0;
  if (first < 0xE0) return in(1, 0x80, 0xBF) ? 2 : 0;
  if (first < 0xF0) {
    const unsigned low = first == 0xE0 ? 0xA0 : 0x80;
    const unsigned high = first == 0xED ? 0x9F : 0xBF;
    return in(1, low, high) && in(2, 0x80, 0xBF) ? 3 : 0;
  }
  const unsigned low = first == 0xF0 ? 0x90 : 0x80;
  const unsigned high = first == 0xF4 ? 0x8F : 0xBF;
  return in(1, low, high) && in(2, 0x80, 0xBF) && in(3, 0x80, 0xBF) ? 4 : 0;
}

}  // namespace

bool CleanUtf8(std::string_view text) {
  while (!text.empty()) {
    const auto first = static_cast<unsigned char>(text.front());
    if (first < 0x20 || first == 0x7F) return false;
    const size_t length = SequenceLength(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

bool ValidHost(std::string_view host) {
  if (host.empty() || host.size() > 255) return false;
  return std::all_of(host.begin(), host.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view(".-_:[]").find(c) != std::string_view::npos;
  });
}

Result<Target> ParseTarget(std::string_view text, bool slashes) {
  Target target;
  if (text == "*") {
    target.path = "*";
    return target;
  }
  if (text.find('#') != std::string_view::npos) return Bad("a fragment is not allowed");
  if (!text.starts_with('/')) SIGNUM_TRY(TakeAuthority(&text, &target.authority));
  const size_t question = std::min(text.find('?'), text.size());
  const std::string_view path = text.substr(0, question);
  SIGNUM_TRY(ParsePath(path.empty() && !target.authority.empty() ? "/" : path, slashes, &target));
  SIGNUM_TRY(ParseQuery(text.substr(std::min(question + 1, text.size())), &target));
  return target;
}

}  // namespace signum::http
