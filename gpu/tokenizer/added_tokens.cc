#include "gpu/tokenizer/added_tokens.h"

#include <algorithm>
#include <vector>

#include "gpu/tokenizer/json_fields.h"

namespace signum {
namespace {

// Unicode's White_Space.
constexpr std::string_view kBlanks[] = {" ",
                                        "\n",
                                        "\t",
                                        "\r",
                                        "\v",
                                        "\f",
                                        "\xc2\x85",
                                        "\xc2\xa0",
                                        "\xe1\x9a\x80",
                                        "\xe2\x80\x80",
                                        "\xe2\x80\x81",
                                        "\xe2\x80\x82",
                                        "\xe2\x80\x83",
                                        "\xe2\x80\x84",
                                        "\xe2\x80\x85",
                                        "\xe2\x80\x86",
                                        "\xe2\x80\x87",
                                        "\xe2\x80\x88",
                                        "\xe2\x80\x89",
                                        "\xe2\x80\x8a",
                                        "\xe2\x80\xa8",
                                        "\xe2\x80\xa9",
                                        "\xe2\x80\xaf",
                                        "\xe2\x81\x9f",
                                        "\xe3\x80\x80"};

// How many bytes of `text` are blanks that `at` finds at its beginning or end.
template <class At>
size_t BlanksOf(std::string_view text, At at) {
  size_t out = 0;
  while (true) {
    const auto blank =
        std::ranges::find_if(kBlanks, [&](std::string_view each) { return at(text, out, each); });
    if (blank == std::ranges::end(kBlanks)) return out;
    out += blank->size();
  }
}

size_t BlanksAtBegin(std::string_view text) {
  return BlanksOf(text, [](std::string_view all, size_t done, std::string_view blank) {
    return all.substr(done).starts_with(blank);
  });
}

size_t BlanksAtEnd(std::string_view text) {
  return BlanksOf(text, [](std::string_view all, size_t done, std::string_view blank) {
    return all.substr(0, all.size() - done).ends_with(blank);
  });
}

}  // namespace

using nlohmann::json;

Result<AddedTokens> AddedTokens::Parse(const json& tokenizer) {
  AddedTokens out;
  const json& entries = Member(tokenizer, "added_tokens");
  if (!entries.is_null() && !entries.is_array()) return BadTokenizer("added_tokens is no list");
  for (const json& entry : entries) SIGNUM_TRY(out.Add(entry));
  SIGNUM_ASSIGN(out.any_, out.PatternOf(true));
  SIGNUM_ASSIGN(out.ordinary_, out.PatternOf(false));
  return out;
}

Result<void> AddedTokens::Add(const json& entry) {
  const json& id = Member(entry, "id");
  const std::string content = TextOf(Member(entry, "content"));
  if (content.empty() || !id.is_number_unsigned() || id.get<uint64_t>() >= kMaxTokens) {
    return BadTokenizer("an entry of added_tokens has no content, or no id that can be");
  }
  if (FlagOf(entry, "single_word", false)) {
    return UnsupportedTokenizer("added token '" + Printable(content) + "' with single_word");
  }
  tokens_[content] = {id.get<int32_t>(), FlagOf(entry, "special", false),
                      FlagOf(entry, "lstrip", false), FlagOf(entry, "rstrip", false)};
  return {};
}

Result<std::optional<Pattern>> AddedTokens::PatternOf(bool specials) const {
  std::vector<std::string> texts;
  for (const auto& [content, token] : tokens_) {
    if (specials || !token.special) texts.push_back(content);
  }
  if (texts.empty()) return std::optional<Pattern>();
  SIGNUM_ASSIGN(Pattern pattern, Pattern::AnyOf(std::move(texts)));
  return std::optional<Pattern>(std::move(pattern));
}

const AddedTokens::Token* AddedTokens::Find(std::string_view content) const {
  const auto at = tokens_.find(std::string(content));
  return at == tokens_.end() ? nullptr : &at->second;
}

std::vector<ControlToken> AddedTokens::Matches(const Pattern& pattern, std::string_view all,
                                               size_t begin, size_t end) const {
  std::vector<ControlToken> out;
  pattern.Split(all.substr(begin, end - begin), [&](std::string_view part, bool matched) {
    if (!matched) return;
    const Token& token = *Find(part);
    const size_t taken = out.empty() ? 0 : out.back().end;
    size_t from = static_cast<size_t>(part.data() - all.data());
    size_t to = from + part.size();
    if (token.takes_left) from = std::max(taken, from - BlanksAtEnd(all.substr(0, from)));
    if (token.takes_right) to += BlanksAtBegin(all.substr(to));
    out.push_back({std::max(taken, from), to, token.id});
  });
  return out;
}

std::vector<ControlToken> AddedTokens::FindAll(std::string_view all, size_t begin,
                                               size_t end) const {
  return any_ ? Matches(*any_, all, begin, end) : std::vector<ControlToken>();
}

void AddedTokens::Split(std::string_view all, Controls controls,
                        const std::function<void(std::string_view)>& text,
                        const std::function<void(int32_t)>& token) const {
  const std::optional<Pattern>& pattern = controls == Controls::kTokens ? any_ : ordinary_;
  size_t done = 0;
  if (pattern) {
    for (const ControlToken& match : Matches(*pattern, all, 0, all.size())) {
      if (done < match.begin) text(all.substr(done, match.begin - done));
      token(match.id);
      done = match.end;
    }
  }
  if (done < all.size()) text(all.substr(done));
}

}  // namespace signum
