#pragma once

#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "client/node/serve/jinja/ast.h"
#include "client/node/serve/jinja/builtins.h"

namespace signum::client::jinja {

// Names and their values, in front of those around them.
class Scope {
 public:
  explicit Scope(const Scope* around = nullptr) : around_(around) {}

  const Value* Find(std::string_view name) const;
  void Set(const std::string& name, Value value) {
    values_.insert_or_assign(name, std::move(value));
  }

 private:
  const Scope* around_;
  std::map<std::string, Value, std::less<>> values_;
};

// Runs a template once. Scopes are those of Jinja: a loop's round, a macro and a block have their
// own, an `if` has not. Macros see the template's scope, whoever calls them.
class Interpreter {
 public:
  Interpreter(Runtime& runtime, Scope& root) : runtime_(runtime), root_(root) {}

  // Errors name the line.
  Result<void> Run(const Body& body, Text& out);

 private:
  enum class Flow : uint8_t { kNext, kBreak, kContinue };

  Result<Flow> Execute(const Body& body, Scope& scope, Text& out);
  Result<Flow> ExecuteOne(const Statement& statement, Scope& scope, Text& out);
  Result<Flow> If(const Statement& statement, Scope& scope, Text& out);
  Result<Flow> For(const Statement& statement, Scope& scope, Text& out);
  Result<Flow> Rounds(const Statement& statement, Scope& scope, const std::shared_ptr<Loop>& loop,
                      Text& out);
  Result<Flow> BlockOf(const Statement& statement, Scope& scope, Text& out);
  Result<void> Put(const Value& value, Text& out);
  Result<void> Assign(const Target& target, const Value& value, Scope& scope);

  Result<Value> Evaluate(const Expr& expr, const Scope& scope);
  Result<Value> EvaluateOne(const Expr& expr, const Scope& scope);
  Result<std::vector<Value>> EvaluateAll(const std::vector<ExprPtr>& parts, const Scope& scope);
  Result<Value> Name(const Expr& expr, const Scope& scope) const;
  Result<Value> DictOf(const Expr& expr, const Scope& scope);
  Result<Value> Comparison(const Expr& expr, const Scope& scope);
  Result<Value> Call(const Expr& expr, const Scope& scope);
  Result<Value> CallMacro(const Statement& macro, const Arguments& arguments);
  Result<Arguments> ArgumentsOf(const Expr& call, const Scope& scope);

  // An error of a template, with the line where it came up.
  Error Located(Error error, int line);

  Runtime& runtime_;
  Scope& root_;
  int depth_ = 0;  // of statements and expressions being run
  bool located_ = false;
};

}  // namespace signum::client::jinja
