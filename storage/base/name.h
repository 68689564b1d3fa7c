#pragma once

#include <string>
#include <string_view>

#include "storage/base/result.h"

namespace signum {

// Checks a base, tenant, model, alias or node name: [a-z0-9][a-z0-9._-]{0,62}. `what` names the
// field in the message. Errc::kInvalid "bad_name".
Result<void> CheckName(std::string_view what, std::string_view name);

// Checks a file path inside a checkpoint: relative, '/'-separated UTF-8 without control characters
// or backslashes, no empty, "." or ".." component, at most 255 bytes. Errc::kInvalid "bad_path".
Result<void> CheckFilePath(std::string_view path);

// A string from outside as it may stand in an error message: at most 80 bytes, anything but
// printable ASCII as '?'.
std::string Printable(std::string_view text);

// True for well-formed UTF-8 (RFC 3629: no overlong forms, surrogates or values past U+10FFFF).
bool IsUtf8(std::string_view text);

}  // namespace signum
