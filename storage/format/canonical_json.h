#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "storage/base/result.h"

namespace signum {

// RFC 8785 (JSON Canonicalization Scheme): keys sorted by UTF-16 code units, no spaces, numbers as
// ECMAScript prints them. Numbers must be finite and, where integers, within 2^53.
std::string CanonicalJson(const nlohmann::json& value);

// Parses JSON from outside: no duplicate keys, depth at most 64, at most 2^22 values (an
// object or array counts as four), valid UTF-8, nothing after the value. Errc::kInvalid "bad_json"
// says where.
Result<nlohmann::json> ParseJson(std::string_view text);

}  // namespace signum
