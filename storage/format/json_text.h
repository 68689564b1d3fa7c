#pragma once

#include <string>
#include <string_view>

namespace signum {

// Appends `text` as a JSON string literal in the one spelling of RFC 8785 §3.2.2.2. `text` is
// UTF-8.
void AppendJsonString(std::string* out, std::string_view text);

}  // namespace signum
