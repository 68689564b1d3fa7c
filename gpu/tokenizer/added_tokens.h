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
    bool special = false;  // a control token: no text of its own
  };

  // Errc::kUnusable bad_tokenizer, unsupported_tokenizer (tokens that take blanks beside them, or
  // only whole words).
  static Result<AddedTokens> Parse(const nlohmann::json& tokenizer);

  const std::unordered_map<std::string, Token>& tokens() const { return tokens_; }
  const Token* Find(std::string_view content) const;

  // All of them in a text, special or not.
  std::vector<ControlToken> FindAll(std::string_view all) const;

  // Calls `text` for what lies between tokens and `token` for each of them, in order. The longest
  // of those that begin at one place counts.
  void Split(std::string_view all, Controls controls,
             const std::function<void(std::string_view)>& text,
             const std::function<void(int32_t)>& token) const;

 private:
  Result<void> Add(const nlohmann::json& entry);
  Result<std::optional<Pattern>> PatternOf(bool specials) const;

  std::unordered_map<std::string, Token> tokens_;
  std::optional<Pattern> any_, ordinary_;  // none: there are no such tokens
};

}  // namespace signum
