#include "client/node/serve/jinja/strings.h"

#include <algorithm>
#include <cstring>

#include "client/node/serve/jinja/characters.h"

namespace signum::client::jinja {
namespace {

bool Holds(const Text* characters, char32_t code) {
  if (characters == nullptr) return IsSpace(code);
  for (std::string_view rest = characters->view(); !rest.empty();) {
    const Character character = FirstCharacter(rest);
    if (character.code == code) return true;
    rest.remove_prefix(character.size);
  }
  return false;
}

size_t SkipFront(std::string_view text, size_t at, const Text* characters) {
  while (at < text.size()) {
    const Character c = FirstCharacter(text.substr(at));
    if (!Holds(characters, c.code)) break;
    at += c.size;
  }
  return at;
}

size_t SkipBack(std::string_view text, size_t begin, const Text* characters) {
  size_t end = text.size();
  while (end > begin) {
    const Character c = LastCharacter(text.substr(begin, end - begin));
    if (!Holds(characters, c.code)) break;
    end -= c.size;
  }
  return end;
}

// Where the word that begins at `at` ends.
size_t WordEnd(std::string_view text, size_t at) {
  while (at < text.size()) {
    const Character c = FirstCharacter(text.substr(at));
    if (IsSpace(c.code)) break;
    at += c.size;
  }
  return at;
}

size_t WordBegin(std::string_view text, size_t end) {
  while (end > 0) {
    const Character c = LastCharacter(text.substr(0, end));
    if (IsSpace(c.code)) break;
    end -= c.size;
  }
  return end;
}

std::vector<Value> Words(const Text& text, int64_t limit) {
  std::vector<Value> out;
  size_t at = SkipFront(text.view(), 0, nullptr);
  while (at < text.size()) {
    const bool last = limit >= 0 && out.size() == static_cast<size_t>(limit);
    const size_t end = last ? text.size() : WordEnd(text.view(), at);
    out.push_back(Value::Of(text.Part(at, end)));
    at = SkipFront(text.view(), end, nullptr);
  }
  return out;
}

std::vector<Value> WordsRight(const Text& text, int64_t limit) {
  std::vector<Value> out;
  size_t end = SkipBack(text.view(), 0, nullptr);
  while (end > 0) {
    const bool last = limit >= 0 && out.size() == static_cast<size_t>(limit);
    const size_t begin = last ? 0 : WordBegin(text.view(), end);
    out.push_back(Value::Of(text.Part(begin, end)));
    end = last ? 0 : SkipBack(text.view().substr(0, begin), 0, nullptr);
  }
  std::ranges::reverse(out);
  return out;
}

// Whether the character at [begin, end) is a capital sigma at the end of a word: the only one whose
// lower form depends on its neighbours.
bool IsFinalSigma(std::string_view text, size_t begin, size_t end) {
  if (text.substr(begin, end - begin) != "\xce\xa3") return false;
  Character c = LastCharacter(text.substr(0, begin));
  for (; c.size > 0 && IsCaseIgnorable(c.code); c = LastCharacter(text.substr(0, begin))) {
    begin -= c.size;
  }
  if (c.size == 0 || !IsCased(c.code)) return false;
  c = FirstCharacter(text.substr(end));
  for (; c.size > 0 && IsCaseIgnorable(c.code); c = FirstCharacter(text.substr(end))) {
    end += c.size;
  }
  return c.size == 0 || !IsCased(c.code);
}

}  // namespace

size_t FindText(std::string_view text, std::string_view what, size_t from) {
  if (from > text.size()) return std::string_view::npos;
  const void* at = memmem(text.data() + from, text.size() - from, what.data(), what.size());
  if (at == nullptr) return std::string_view::npos;
  return static_cast<size_t>(static_cast<const char*>(at) - text.data());
}

Text Strip(const Text& text, Side side, const Text* characters) {
  const size_t begin = side == Side::kRight ? 0 : SkipFront(text.view(), 0, characters);
  const size_t end = side == Side::kLeft ? text.size() : SkipBack(text.view(), begin, characters);
  return text.Part(begin, end);
}

std::vector<Value> Split(const Text& text, const Text* separator, int64_t limit) {
  if (separator == nullptr) return Words(text, limit);
  std::vector<Value> out;
  size_t at = 0;
  while (limit < 0 || out.size() < static_cast<size_t>(limit)) {
    const size_t end = FindText(text.view(), separator->view(), at);
    if (end == std::string::npos) break;
    out.push_back(Value::Of(text.Part(at, end)));
    at = end + separator->size();
  }
  out.push_back(Value::Of(text.Part(at, text.size())));
  return out;
}

std::vector<Value> SplitRight(const Text& text, const Text* separator, int64_t limit) {
  if (separator == nullptr) return WordsRight(text, limit);
  std::vector<Value> out;
  size_t end = text.size();
  while (limit < 0 || out.size() < static_cast<size_t>(limit)) {
    const size_t at = text.view().substr(0, end).rfind(separator->view());
    if (at == std::string::npos) break;
    out.push_back(Value::Of(text.Part(at + separator->size(), end)));
    end = at;
  }
  out.push_back(Value::Of(text.Part(0, end)));
  std::ranges::reverse(out);
  return out;
}

Result<void> SpendOnParts(Runtime& runtime, const Text& text, const Text* separator) {
  size_t parts = 1;
  if (separator == nullptr) {  // first bytes of what is a blank
    parts += static_cast<size_t>(std::ranges::count_if(text.view(), [](char c) {
      return static_cast<unsigned char>(c) <= ' ' || c == '\xc2' || (c >= '\xe1' && c <= '\xe3');
    }));
  } else {
    for (size_t at = FindText(text.view(), separator->view()); at != std::string_view::npos;
         at = FindText(text.view(), separator->view(), at + separator->size())) {
      ++parts;
    }
  }
  return runtime.Spend(parts * 3);
}

std::vector<Value> SplitLines(const Text& text, bool keep_ends) {
  std::vector<Value> out;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const Character c = FirstCharacter(text.view().substr(at));
    const size_t end = at;
    at += c.size;
    if (!IsLineEnd(c.code)) continue;
    if (c.code == '\r' && at < text.size() && text.bytes()[at] == '\n') ++at;
    out.push_back(Value::Of(text.Part(begin, keep_ends ? at : end)));
    begin = at;
  }
  if (begin < text.size()) out.push_back(Value::Of(text.Part(begin, text.size())));
  return out;
}

Result<Text> Replace(Runtime& runtime, const Text& text, const Text& what, const Text& by,
                     int64_t limit) {
  Text out;
  size_t at = 0;
  SIGNUM_TRY(runtime.SpendOn(text));
  for (int64_t n = 0; limit < 0 || n < limit; ++n) {
    // Nothing stands between all characters, and at both ends.
    const size_t step = what.empty() && n > 0 ? FirstCharacter(text.view().substr(at)).size : 0;
    if (what.empty() && n > 0 && step == 0) break;
    const size_t found = FindText(text.view(), what.view(), at + step);
    if (found == std::string::npos) break;
    SIGNUM_TRY(runtime.SpendOn(by));
    out.Append(text, at, found);
    out.Append(by);
    at = found + what.size();
  }
  out.Append(text, at, text.size());
  return out;
}

Text MapCharacters(const Text& text, const std::function<std::string(char32_t)>& map) {
  Text out;
  auto range = text.tainted().begin();
  for (size_t at = 0; at < text.size();) {
    const Character c = FirstCharacter(text.view().substr(at));
    while (range != text.tainted().end() && range->end <= at) ++range;
    out.Append(map(c.code), range != text.tainted().end() && range->begin <= at);
    at += c.size;
  }
  return out;
}

Text MapCase(const Text& text,
             const std::function<std::string(char32_t, const std::string&)>& map) {
  return MapCharacters(text, [&, at = size_t{0}](char32_t code) mutable {
    const size_t begin = at;
    at += FirstCharacter(text.view().substr(at)).size;
    return map(code, IsFinalSigma(text.view(), begin, at) ? "\xcf\x82" : Lower(code));
  });
}

Text UpperCase(const Text& text) { return MapCharacters(text, Upper); }
Text LowerCase(const Text& text) {
  return MapCase(text, [](char32_t, const std::string& lower) { return lower; });
}

Text Capitalized(const Text& text) {
  return MapCase(text, [first = true](char32_t code, const std::string& lower) mutable {
    return std::exchange(first, false) ? Title(code) : lower;
  });
}

Text TitleCase(const Text& text) {
  return MapCase(text, [within = false](char32_t code, const std::string& lower) mutable {
    return std::exchange(within, IsCased(code)) ? lower : Title(code);
  });
}

Text Escaped(const Text& text) {
  static constexpr std::pair<char, const char*> kEntities[] = {
      {'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'\'', "&#39;"}, {'"', "&#34;"}};
  if (text.markup) return text;
  Text out = MapCharacters(text, [](char32_t code) {
    for (const auto& [c, entity] : kEntities) {
      if (code == static_cast<char32_t>(c)) return std::string(entity);
    }
    std::string same;
    AppendCharacter(same, code);
    return same;
  });
  out.markup = true;
  return out;
}

}  // namespace signum::client::jinja
