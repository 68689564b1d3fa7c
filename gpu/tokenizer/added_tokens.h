#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "gpu/tokenizer/pattern.h"
#include "gpu/tokenizer/tokenizer.h"

namespace signum {

// The tokens of a tokenizer.json that are looked for in text as a whole, before it is divided.
class AddedTokens {
 public:
  struct Token {
    int32_t id = -1;
    bool special = false;     // a control token: no text of its own
    bool takes_left = false;  // blanks before it ("lstrip")
    bool takes_right = false;
  };

  // Of the list "added_tokens". Errc::kUnusable bad_tokenizer, unsupported_tokenizer (tokens that
  // are whole words alone).
  static Result<AddedTokens> Parse(const nlohmann::json& tokenizer);

  const std::unordered_map<std::string, Token>& tokens() const { return tokens_; }
  const Token* Find(std::string_view content) const;

  // All of them in a part of a text, special or not; blanks that they take may be outside.
  std::vector<ControlToken> FindAll(std::string_view all, size_t begin, size_t end) const;

  // Calls `text` for what lies between tokens and `token` for each of them, in order. The longest
  // of those that begin at one place counts.
  void Split(std::string_view all, Controls controls,
             const std::function<void(std::string_view)>& text,
             const std::function<void(int32_t)>& token) const;

 private:
  Result<void> Add(const nlohmann::json& entry);
  Result<std::optional<Pattern>> PatternOf(bool specials) const;
  std::vector<ControlToken> Matches(const Pattern& pattern, std::string_view all, size_t begin,
                                    size_t end) const;

  std::unordered_map<std::string, Token> tokens_;
  std::optional<Pattern> any_, ordinary_;  // none: there are no such tokens
};

}  // namespace signum
