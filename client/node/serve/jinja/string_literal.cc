#include "client/node/serve/jinja/string_literal.h"

#include <charconv>

#include "client/node/serve/jinja/characters.h"

namespace signum::client::jinja {
namespace {

// The simple escapes and what they stand for.
constexpr std::string_view kLetters = "abfnrtv\\'\"";
constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\'\"";

// How many hexadecimal digits follow \x, \u and \U.
size_t HexDigits(char c) { return c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0; }

// Takes a number off `rest`; false: it has no such digits, or they name no character.
bool TakeCode(std::string_view& rest, size_t digits, int base, std::string& out) {
  if (rest.size() < digits) return false;
  uint32_t code = 0;
  const auto parsed = std::from_chars(rest.data(), rest.data() + digits, code, base);
  if (parsed.ec != std::errc() || parsed.ptr != rest.data() + digits) return false;
  if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return false;
  AppendCharacter(out, code);
  rest.remove_prefix(digits);
  return true;
}

size_t OctalDigits(std::string_view rest) {
  size_t n = 0;
  while (n < 3 && n < rest.size() && rest[n] >= '0' && rest[n] <= '7') ++n;
  return n;
}

}  // namespace

std::optional<std::string> UnescapeString(std::string_view rest) {
  std::string out;
  while (!rest.empty()) {
    const char c = rest[0];
    rest.remove_prefix(1);
    if (c != '\\' || rest.empty()) {
      out += c;
      continue;
    }
    const char escape = rest[0];
    if (const size_t octal = OctalDigits(rest); octal > 0) {
      if (!TakeCode(rest, octal, 8, out)) return std::nullopt;
      continue;
    }
    rest.remove_prefix(1);
    if (escape == '\n') continue;
    if (escape == 'N') return std::nullopt;
    if (const size_t digits = HexDigits(escape); digits > 0) {
      if (!TakeCode(rest, digits, 16, out)) return std::nullopt;
    } else if (const size_t at = kLetters.find(escape); at != kLetters.npos) {
      out += kMeanings[at];
    } else {
      out += '\\';
      out += escape;
    }
  }
  return out;
}

}  // namespace signum::client::jinja
