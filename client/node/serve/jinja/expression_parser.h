#pragma once

#include "client/node/serve/jinja/ast.h"
#include "client/node/serve/jinja/name_use.h"
#include "client/node/serve/jinja/token_stream.h"

namespace signum::client::jinja {

// Expressions, with Jinja's precedences. Errors as Parse gives them.
class ExpressionParser {
 public:
  ExpressionParser(TokenStream& tokens, NameUse& names) : tokens_(tokens), names_(names) {}

  // `conditions`: whether "a if b else c" is one.
  Result<ExprPtr> Expression(bool conditions = true);
  // The same, or several with commas between them: a tuple.
  Result<ExprPtr> ExpressionOrTuple(bool conditions = true);
  // Filters applied to `input`, as many as follow; `bare`: the first has no "|" before it.
  Result<ExprPtr> Filters(ExprPtr input, bool bare = false);

 private:
  Result<ExprPtr> Binary(size_t level);
  Result<ExprPtr> Compare();
  Result<ExprPtr> Concat();
  Result<ExprPtr> Unary(bool filters);
  Result<ExprPtr> Primary();
  Result<ExprPtr> Name();
  Result<ExprPtr> Number();
  Result<ExprPtr> List();
  Result<ExprPtr> Dict();
  Result<ExprPtr> Postfix(ExprPtr node);
  Result<ExprPtr> Attribute(ExprPtr node);
  Result<ExprPtr> Subscript(ExprPtr node);
  Result<ExprPtr> Call(ExprPtr node);
  Result<ExprPtr> FiltersAndTests(ExprPtr node);
  Result<ExprPtr> Test(ExprPtr node);
  Result<void> Arguments(Expr& call);
  bool TakeComparison(Op& op);
  Result<void> CheckFilter(const Expr& filter) const;
  Result<void> CheckTest(const Expr& test) const;

  // A node at the place of the next token.
  ExprPtr New(Expr::Kind kind) const;
  // Takes `part` in, which may be null; an error where nodes lie too deep.
  Result<void> Add(Expr& to, ExprPtr part) const;

  TokenStream& tokens_;
  NameUse& names_;
  int nesting_ = 0;
};

}  // namespace signum::client::jinja
