#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace signum::client::jinja {

// What a string literal of Python says, without its quotes: its escapes resolved. Nothing where one
// is none, names a character by its name, or half of a surrogate pair.
std::optional<std::string> UnescapeString(std::string_view literal);

}  // namespace signum::client::jinja
