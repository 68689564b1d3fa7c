#include "client/node/serve/jinja/characters.h"

#include <utf8proc.h>

#include <algorithm>
#include <string_view>
#include <utility>

namespace signum::client::jinja {
namespace {

bool IsContinuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

utf8proc_category_t CategoryOf(char32_t code) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code));
}

// The characters that `code` folds to where they are several ("ß" to "ss"); empty elsewhere.
std::u32string Expansion(char32_t code) {
  utf8proc_int32_t out[8];
  int last_class = 0;
  const auto n =
      utf8proc_decompose_char(static_cast<utf8proc_int32_t>(code), out, 8,
                              static_cast<utf8proc_option_t>(UTF8PROC_CASEFOLD), &last_class);
  if (n < 2 || n > 8) return {};
  return {out, out + n};
}

// Title forms that neither a table of one character each nor what they fold to gives.
constexpr std::pair<char32_t, const char*> kTitles[] = {
    {0xdf, "Ss"},
    {0x149,
     "\xca\xbc"
     "N"},
    {0x1fb2, "\xe1\xbe\xba\xcd\x85"},
    {0x1fb4, "\xce\x86\xcd\x85"},
    {0x1fb7, "\xce\x91\xcd\x82\xcd\x85"},
    {0x1fc2, "\xe1\xbf\x8a\xcd\x85"},
    {0x1fc4, "\xce\x89\xcd\x85"},
    {0x1fc7, "\xce\x97\xcd\x82\xcd\x85"},
    {0x1ff2, "\xe1\xbf\xba\xcd\x85"},
    {0x1ff4, "\xce\x8f\xcd\x85"},
    {0x1ff7, "\xce\xa9\xcd\x82\xcd\x85"},
};

char32_t SimpleUpper(char32_t code) {
  return static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(code)));
}

char32_t SimpleTitle(char32_t code) {
  return static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(code)));
}

}  // namespace

Character FirstCharacter(std::string_view text) {
  if (text.empty()) return {};
  utf8proc_int32_t code = 0;
  const auto size =
      utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                       static_cast<utf8proc_ssize_t>(std::min<size_t>(text.size(), 4)), &code);
  if (size <= 0) return {0xfffd, 1};
  return {static_cast<char32_t>(code), static_cast<size_t>(size)};
}

Character LastCharacter(std::string_view text) {
  size_t size = std::min<size_t>(text.size(), 1);
  while (size < std::min<size_t>(text.size(), 4) && IsContinuation(text[text.size() - size])) {
    ++size;
  }
  const Character whole = FirstCharacter(text.substr(text.size() - size));
  return whole.size == size ? whole : Character{0xfffd, 1};
}

size_t CountCharacters(std::string_view text) {
  return static_cast<size_t>(
      std::ranges::count_if(text, [](char c) { return !IsContinuation(c); }));
}

size_t OffsetOfCharacter(std::string_view text, size_t n) {
  size_t at = 0;
  for (; at < text.size(); ++at) {
    if (!IsContinuation(text[at]) && n-- == 0) return at;
  }
  return at;
}

void AppendCharacter(std::string& out, char32_t code) {
  utf8proc_uint8_t bytes[4];
  const auto size = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code), bytes);
  out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
}

bool IsSpace(char32_t code) {
  if (code < 0x80) return (code >= 9 && code <= 13) || (code >= 28 && code <= 32);
  return code == 0x85 || code == 0xa0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200a) ||
         code == 0x2028 || code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
}

bool IsLineEnd(char32_t code) {
  return (code >= 10 && code <= 13) || (code >= 28 && code <= 30) || code == 0x85 ||
         code == 0x2028 || code == 0x2029;
}

bool IsPrintable(char32_t code) {
  if (code < 0x7f) return code >= 0x20;
  const utf8proc_category_t category = CategoryOf(code);
  return category != UTF8PROC_CATEGORY_CN &&
         (category < UTF8PROC_CATEGORY_ZS || category > UTF8PROC_CATEGORY_CO);
}

bool IsUpper(char32_t code) { return utf8proc_isupper(static_cast<utf8proc_int32_t>(code)) != 0; }
bool IsLower(char32_t code) { return utf8proc_islower(static_cast<utf8proc_int32_t>(code)) != 0; }
bool IsCased(char32_t code) {
  return IsUpper(code) || IsLower(code) || CategoryOf(code) == UTF8PROC_CATEGORY_LT;
}

bool IsCaseIgnorable(char32_t code) {
  constexpr std::u32string_view kWithinWords =
      U"'.:\u00b7\u0387\u055f\u05f4\u2018\u2019\u2024\u2027\ufe13\ufe52\ufe55\uff07\uff0e\uff1a";
  const utf8proc_category_t category = CategoryOf(code);
  return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_ME ||
         category == UTF8PROC_CATEGORY_CF || category == UTF8PROC_CATEGORY_LM ||
         category == UTF8PROC_CATEGORY_SK || kWithinWords.find(code) != kWithinWords.npos;
}

std::string Upper(char32_t code) {
  std::string out;
  // What has no upper form of one character has that of what it folds to, unless it is one itself.
  const std::u32string several =
      CategoryOf(code) == UTF8PROC_CATEGORY_LU ? std::u32string() : Expansion(code);
  for (const char32_t each : several) AppendCharacter(out, SimpleUpper(each));
  if (several.empty()) AppendCharacter(out, SimpleUpper(code));
  return out;
}

std::string Lower(char32_t code) {
  if (code == 0x130) return "i\xcc\x87";  // İ: the one whose lower form is two characters
  std::string out;
  AppendCharacter(out,
                  static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code))));
  return out;
}

std::string Title(char32_t code) {
  for (const auto& [each, title] : kTitles) {
    if (each == code) return title;
  }
  std::string out;
  const bool own = CategoryOf(code) == UTF8PROC_CATEGORY_LU || SimpleTitle(code) != code ||
                   CategoryOf(code) == UTF8PROC_CATEGORY_LT;
  const std::u32string several = own ? std::u32string() : Expansion(code);
  for (size_t i = 0; i < several.size(); ++i) {
    AppendCharacter(out, i == 0 ? SimpleTitle(several[i]) : several[i]);
  }
  if (several.empty()) AppendCharacter(out, SimpleTitle(code));
  return out;
}

}  // namespace signum::client::jinja
