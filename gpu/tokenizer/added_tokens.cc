#include "gpu/tokenizer/added_tokens.h"

#include <vector>

#include "gpu/tokenizer/json_fields.h"

namespace signum {

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
  for (const char* option : {"single_word", "lstrip", "rstrip"}) {
    if (!FlagOf(entry, option, false)) continue;
    return UnsupportedTokenizer("added token '" + Printable(content) + "' with " + option);
  }
  tokens_[content] = {id.get<int32_t>(), FlagOf(entry, "special", false)};
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

std::vector<ControlToken> AddedTokens::FindAll(std::string_view all) const {
  std::vector<ControlToken> out;
  if (!any_) return out;
  any_->Split(all, [&](std::string_view part, bool matched) {
    const auto begin = static_cast<size_t>(part.data() - all.data());
    if (matched) out.push_back({begin, begin + part.size(), Find(part)->id});
  });
  return out;
}

void AddedTokens::Split(std::string_view all, Controls controls,
                        const std::function<void(std::string_view)>& text,
                        const std::function<void(int32_t)>& token) const {
  const std::optional<Pattern>& pattern = controls == Controls::kTokens ? any_ : ordinary_;
  if (!pattern) return text(all);
  pattern->Split(all, [&](std::string_view part, bool matched) {
    if (matched) {
      token(Find(part)->id);
    } else {
      text(part);
    }
  });
}

}  // namespace signum
