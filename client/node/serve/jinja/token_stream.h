#pragma once

#include <algorithm>
#include <vector>

#include "client/node/serve/jinja/lexer.h"
#include "storage/base/name.h"

namespace signum::client::jinja {

// The tokens of a template, one after another, with an end that is never passed.
class TokenStream {
 public:
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& Now() const { return tokens_[at_]; }
  const Token& Ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  const Token& Take() {
    const Token& token = tokens_[at_];
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }

  bool SeesOperator(std::string_view op) const { return Now().Is(Token::Kind::kOperator, op); }
  bool SeesName(std::string_view name) const { return Now().Is(Token::Kind::kName, name); }
  bool TakeOperator(std::string_view op) { return SeesOperator(op) && (Take(), true); }
  bool TakeName(std::string_view name) { return SeesName(name) && (Take(), true); }

  Result<void> Expect(Token::Kind kind) {
    if (Now().kind != kind) return Unexpected();
    Take();
    return {};
  }
  Result<void> ExpectOperator(std::string_view op) {
    if (!TakeOperator(op)) return Unexpected();
    return {};
  }
  Result<std::string> ExpectName() {
    if (Now().kind != Token::Kind::kName) return Unexpected();
    return Take().text;
  }
  Error Unexpected() const {
    if (Now().kind == Token::Kind::kEnd) return Failed("the template ends where it must not");
    const bool named = !Now().text.empty() && Now().kind != Token::Kind::kData;
    return Failed(named ? "an unexpected '" + Printable(Now().text) + "'"
                        : "a tag that ends too soon");
  }
  Error Failed(const std::string& what) const { return TemplateError(Now().line, what); }

 private:
  std::vector<Token> tokens_;
  size_t at_ = 0;
};

}  // namespace signum::client::jinja
