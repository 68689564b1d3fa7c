#pragma once

#include <functional>
#include <vector>

#include "client/node/serve/jinja/value.h"

// Python's methods of str. All keep which bytes are tainted.

namespace signum::client::jinja {

// Where `what` is found, from a place on; npos where it is not. In linear time, unlike
// std::string_view::find, whatever the two are.
size_t FindText(std::string_view text, std::string_view what, size_t from = 0);

enum class Side : uint8_t { kLeft, kRight, kBoth };

// strip, of whitespace or of the characters in `characters`.
Text Strip(const Text& text, Side side, const Text* characters);
// split and rsplit: at whitespace, or at `separator` (not empty); at most `limit` times (-1: ever).
std::vector<Value> Split(const Text& text, const Text* separator, int64_t limit);
std::vector<Value> SplitRight(const Text& text, const Text* separator, int64_t limit);
// Pays for the parts that these give, before they are made.
Result<void> SpendOnParts(Runtime& runtime, const Text& text, const Text* separator);
std::vector<Value> SplitLines(const Text& text, bool keep_ends);
// replace, `limit` times at most (-1: ever).
Result<Text> Replace(Runtime& runtime, const Text& text, const Text& what, const Text& by,
                     int64_t limit);

// Each character through `map`.
Text MapCharacters(const Text& text, const std::function<std::string(char32_t)>& map);
// The same, where `map` is given its lower form too.
Text MapCase(const Text& text,
             const std::function<std::string(char32_t code, const std::string& lower)>& map);
Text UpperCase(const Text& text);
Text LowerCase(const Text& text);
Text Capitalized(const Text& text);
Text TitleCase(const Text& text);  // str.title
// For HTML, as Markup joins it to itself; text that is markup already is left alone.
Text Escaped(const Text& text);

// format % values, and format.format(values, named): the plain conversions of either.
Result<Value> FormatPercent(Runtime& runtime, const Text& format, const Value& values);
Result<Value> FormatBraces(Runtime& runtime, const Text& format, const std::vector<Value>& values,
                           const std::vector<std::pair<std::string, Value>>& named);

}  // namespace signum::client::jinja
