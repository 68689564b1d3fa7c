#pragma once

#include <string>
#include <string_view>

// Characters (code points) of UTF-8 as Python's str knows them.

namespace signum::client::jinja {

struct Character {
  char32_t code = 0;
  size_t size = 0;  // in bytes; 0 at the end of the text
};

// The first and the last character of `text`; a byte that is no UTF-8 is a character of its own.
Character FirstCharacter(std::string_view text);
Character LastCharacter(std::string_view text);
size_t CountCharacters(std::string_view text);
// Where the `n`th character begins; the end where there are fewer.
size_t OffsetOfCharacter(std::string_view text, size_t n);
void AppendCharacter(std::string& out, char32_t code);

bool IsSpace(char32_t code);      // str.isspace
bool IsLineEnd(char32_t code);    // what str.splitlines divides at
bool IsPrintable(char32_t code);  // str.isprintable
bool IsCased(char32_t code);
bool IsCaseIgnorable(char32_t code);
bool IsUpper(char32_t code);
bool IsLower(char32_t code);

// Full case mappings of a character by itself.
std::string Upper(char32_t code);
std::string Lower(char32_t code);
std::string Title(char32_t code);

}  // namespace signum::client::jinja
