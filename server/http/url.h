#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "storage/base/result.h"

// Request targets (RFC 3986, RFC 9112 §3.2), taken apart so that nothing after this has to decode.

namespace signum::http {

struct Target {
  std::string authority;  // of an absolute-form target ("http://host/…"), else empty
  std::string path;       // the decoded segments joined by '/', or "*"
  std::vector<std::string> segments;
  std::vector<std::pair<std::string, std::string>> query;  // decoded, in order
};

// Parses origin-form ("/a/b?c=d"), absolute-form or "*". Errc::kInvalid "bad_target" for anything
// else: broken percent escapes; segments that decode to "." or "..", or hold a slash, a control
// character or what is not UTF-8; more than 64 segments or 256 parameters. "/a/" has an empty last
// segment. `slashes`: an encoded slash is taken as a part of its segment.
Result<Target> ParseTarget(std::string_view target, bool slashes = false);

// Whether `host` may stand in a Host header: a name, an IPv4 or a bracketed IPv6 address, with a
// port.
bool ValidHost(std::string_view host);

// Whether `text` is well-formed UTF-8 (no surrogates, nothing overlong) without control characters.
bool CleanUtf8(std::string_view text);

}  // namespace signum::http
