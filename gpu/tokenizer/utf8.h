#pragma once

#include <string>
#include <string_view>

namespace signum {

// Appends the whole characters at the beginning of `bytes` to `text` and removes them; what can
// never be UTF-8 becomes U+FFFD. `all`: an unfinished character at the end too.
void TakeUtf8(std::string& bytes, bool all, std::string& text);

// `bytes` with U+FFFD for what is not UTF-8.
std::string CleanUtf8(std::string bytes);

}  // namespace signum
