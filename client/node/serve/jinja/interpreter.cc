#include "client/node/serve/jinja/interpreter.h"

#include "client/node/serve/jinja/loop.h"
#include "client/node/serve/jinja/operators.h"
#include "client/node/serve/jinja/print.h"
#include "storage/base/name.h"

namespace signum::client::jinja {
namespace {

constexpr int kMaxDepth = 500;
constexpr size_t kMaxOutput = 8u << 20;

// A function's own depth, given back when it returns.
class Deeper {
 public:
  explicit Deeper(int& depth) : depth_(depth) { ++depth_; }
  ~Deeper() { --depth_; }
  Deeper(const Deeper&) = delete;
  Deeper& operator=(const Deeper&) = delete;

 private:
  int& depth_;
};

}  // namespace

const Value* Scope::Find(std::string_view name) const {
  for (const Scope* scope = this; scope != nullptr; scope = scope->around_) {
    const auto at = scope->values_.find(name);
    if (at != scope->values_.end()) return &at->second;
  }
  return nullptr;
}

Error Interpreter::Located(Error error, int line) {
  if (!std::exchange(located_, true) && error.reason != "bad_messages") {
    error.message = "the chat template, line " + std::to_string(line) + ": " + error.message;
  }
  return error;
}

Result<void> Interpreter::Run(const Body& body, Text& out) {
  SIGNUM_TRY(Execute(body, root_, out));
  return {};
}

Result<Interpreter::Flow> Interpreter::Execute(const Body& body, Scope& scope, Text& out) {
  for (const Statement& statement : body) {
    Result<Flow> flow = ExecuteOne(statement, scope, out);
    if (flow.has_error()) return Located(std::move(flow).error(), statement.line);
    if (*flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Result<Interpreter::Flow> Interpreter::ExecuteOne(const Statement& statement, Scope& scope,
                                                  Text& out) {
  const Deeper deeper(depth_);
  if (depth_ > kMaxDepth) return RenderError("macros call one another too deep");
  SIGNUM_TRY(runtime_.Spend());
  switch (statement.kind) {
    case Statement::Kind::kText:
      SIGNUM_TRY(Put(statement.value, out));
      break;
    case Statement::Kind::kOutput: {
      SIGNUM_ASSIGN(const Value value, Evaluate(*statement.expr, scope));
      SIGNUM_TRY(Put(value, out));
      break;
    }
    case Statement::Kind::kIf:
      return If(statement, scope, out);
    case Statement::Kind::kFor:
      return For(statement, scope, out);
    case Statement::Kind::kSet: {
      SIGNUM_ASSIGN(const Value value, Evaluate(*statement.expr, scope));
      SIGNUM_TRY(Assign(statement.target, value, scope));
      break;
    }
    case Statement::Kind::kSetBlock:
    case Statement::Kind::kFilter:
    case Statement::Kind::kScope:
      return BlockOf(statement, scope, out);
    case Statement::Kind::kMacro:
      scope.Set(statement.target.name, Value::Variant(&statement));
      break;
    case Statement::Kind::kBreak:
      return Flow::kBreak;
    case Statement::Kind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNext;
}

Result<void> Interpreter::Put(const Value& value, Text& out) {
  SIGNUM_ASSIGN(const Text text, Print(runtime_, value));
  if (text.size() > kMaxOutput - out.size()) return RenderError("more than 8 MiB of text");
  out.Append(text);
  return {};
}

Result<Interpreter::Flow> Interpreter::If(const Statement& statement, Scope& scope, Text& out) {
  for (const Branch& branch : statement.branches) {
    SIGNUM_ASSIGN(const Value condition, Evaluate(*branch.condition, scope));
    if (condition.Truth()) return Execute(branch.body, scope, out);
  }
  return Execute(statement.otherwise, scope, out);
}

Result<Interpreter::Flow> Interpreter::For(const Statement& statement, Scope& scope, Text& out) {
  SIGNUM_ASSIGN(const Value iterable, Evaluate(*statement.expr, scope));
  SIGNUM_ASSIGN(auto items, Iterate(runtime_, iterable));
  Loop::Filter filter;
  if (statement.condition != nullptr) {
    filter = [&](const Value& item) -> Result<bool> {
      Scope inner(&scope);
      SIGNUM_TRY(Assign(statement.target, item, inner));
      SIGNUM_ASSIGN(const Value passes, Evaluate(*statement.condition, inner));
      return passes.Truth();
    };
  }
  const auto loop = std::make_shared<Loop>(std::move(items), std::move(filter));
  Result<Flow> flow = Rounds(statement, scope, loop, out);
  loop->Close();
  return flow;
}

Result<Interpreter::Flow> Interpreter::Rounds(const Statement& statement, Scope& scope,
                                              const std::shared_ptr<Loop>& loop, Text& out) {
  bool any = false;
  while (true) {
    SIGNUM_ASSIGN(const bool more, loop->Advance());
    if (!more) break;
    any = true;
    Scope inner(&scope);
    inner.Set("loop", Value::Variant(loop));
    SIGNUM_TRY(Assign(statement.target, loop->item(), inner));
    SIGNUM_ASSIGN(const Flow flow, Execute(statement.body, inner, out));
    if (flow == Flow::kBreak) break;
  }
  if (any) return Flow::kNext;
  Scope inner(&scope);
  return Execute(statement.otherwise, inner, out);
}

// A block whose text is assigned, or goes through filters, or just has a scope of its own.
Result<Interpreter::Flow> Interpreter::BlockOf(const Statement& statement, Scope& scope,
                                               Text& out) {
  Scope inner(&scope);
  Text text;
  SIGNUM_ASSIGN(const Flow flow, Execute(statement.body, inner, text));
  if (flow != Flow::kNext) return flow;
  Value value = Value::Of(std::move(text));
  if (statement.expr != nullptr) {
    Scope filtered(&scope);
    filtered.Set("", value);
    SIGNUM_ASSIGN(value, Evaluate(*statement.expr, filtered));
  }
  if (statement.kind == Statement::Kind::kSetBlock) {
    SIGNUM_TRY(Assign(statement.target, value, scope));
  } else {
    SIGNUM_TRY(Put(value, out));
  }
  return flow;
}

Result<void> Interpreter::Assign(const Target& target, const Value& value, Scope& scope) {
  if (!target.parts.empty()) {
    SIGNUM_ASSIGN(const auto items, Iterate(runtime_, value));
    if (items.size() != target.parts.size()) {
      return RenderError(std::to_string(items.size()) + " values for " +
                         std::to_string(target.parts.size()) + " names");
    }
    for (size_t i = 0; i < items.size(); ++i) {
      SIGNUM_TRY(Assign(target.parts[i], items[i], scope));
    }
    return {};
  }
  if (target.attribute.empty()) {
    scope.Set(target.name, value);
    return {};
  }
  const Value* holder = scope.Find(target.name);
  Namespace* const* space = holder != nullptr ? holder->If<Namespace*>() : nullptr;
  if (space == nullptr) {
    return RenderError("an attribute of '" + Printable(target.name) + "', which is no namespace");
  }
  (*space)->attributes.insert_or_assign(target.attribute, value);
  return {};
}

Result<Value> Interpreter::Evaluate(const Expr& expr, const Scope& scope) {
  const Deeper deeper(depth_);
  if (depth_ > kMaxDepth) return RenderError("macros call one another too deep");
  SIGNUM_TRY(runtime_.Spend());
  Result<Value> value = EvaluateOne(expr, scope);
  if (value.has_error()) return Located(std::move(value).error(), expr.line);
  return value;
}

}  // namespace signum::client::jinja
