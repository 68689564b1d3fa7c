// The half of Interpreter that evaluates expressions.

#include "client/node/serve/jinja/interpreter.h"
#include "client/node/serve/jinja/operators.h"
#include "client/node/serve/jinja/print.h"
#include "storage/base/name.h"

namespace signum::client::jinja {

using Kind = Expr::Kind;

Result<Value> Interpreter::EvaluateOne(const Expr& expr, const Scope& scope) {
  switch (expr.kind) {
    case Kind::kConst:
      return expr.value;
    case Kind::kName:
      return Name(expr, scope);
    case Kind::kDict:
      return DictOf(expr, scope);
    case Kind::kCompare:
      return Comparison(expr, scope);
    case Kind::kCall:
      return Call(expr, scope);
    case Kind::kFilter:
    case Kind::kTest: {
      SIGNUM_ASSIGN(const Value input, Evaluate(*expr.parts[0], scope));
      SIGNUM_ASSIGN(const Arguments arguments, ArgumentsOf(expr, scope));
      if (expr.kind == Kind::kFilter) return CallFilter(runtime_, expr.name, input, arguments);
      SIGNUM_ASSIGN(const bool holds, CallTest(runtime_, expr.name, input, arguments));
      return Value::Bool(holds);
    }
    case Kind::kAnd:
    case Kind::kOr: {
      SIGNUM_ASSIGN(Value first, Evaluate(*expr.parts[0], scope));
      if (first.Truth() == (expr.kind == Kind::kOr)) return first;
      return Evaluate(*expr.parts[1], scope);
    }
    case Kind::kCondition: {
      SIGNUM_ASSIGN(const Value condition, Evaluate(*expr.parts[1], scope));
      if (condition.Truth()) return Evaluate(*expr.parts[0], scope);
      if (expr.parts[2] != nullptr) return Evaluate(*expr.parts[2], scope);
      return Value::Missing("an 'if' without an 'else' was false");
    }
    default:
      break;
  }
  // The others take the values of all their parts.
  SIGNUM_ASSIGN(auto values, EvaluateAll(expr.parts, scope));
  switch (expr.kind) {
    case Kind::kTuple:
      return MakeList(std::move(values), List::Kind::kTuple);
    case Kind::kList:
      return MakeList(std::move(values));
    case Kind::kAttribute:
      return Attribute(runtime_, values[0], expr.name);
    case Kind::kSubscript:
      return Subscript(runtime_, values[0], values[1]);
    case Kind::kSlice:
      return Slice(runtime_, values[0], values[1], values[2], values[3]);
    case Kind::kNot:
      return Value::Bool(!values[0].Truth());
    case Kind::kMinus:
      return Negative(values[0]);
    case Kind::kPlus:
      return values[0].number()
                 ? Arithmetic(runtime_, Op::kAdd, Value::Integer(int64_t{0}), values[0])
                 : Result<Value>(BadOperand(values[0], "no '+' of"));
    case Kind::kBinary:
      return Arithmetic(runtime_, expr.ops[0], values[0], values[1]);
    default:
      break;
  }
  Text out;  // kConcat
  for (const Value& value : values) {
    SIGNUM_ASSIGN(const Text text, Print(runtime_, value));
    out.Append(text);
  }
  return Value::Of(std::move(out));
}

Result<std::vector<Value>> Interpreter::EvaluateAll(const std::vector<ExprPtr>& parts,
                                                    const Scope& scope) {
  std::vector<Value> values;
  values.reserve(parts.size());
  for (const ExprPtr& part : parts) {
    SIGNUM_ASSIGN(Value value, part != nullptr ? Evaluate(*part, scope) : Result<Value>(Value()));
    values.push_back(std::move(value));
  }
  return values;
}

Result<Value> Interpreter::Name(const Expr& expr, const Scope& scope) const {
  if (const Value* value = scope.Find(expr.name)) return *value;
  if (const auto function = FindFunction(expr.name)) return Value(Value::Variant(*function));
  return Value::Missing("'" + Printable(expr.name) + "' is undefined");
}

Result<Value> Interpreter::DictOf(const Expr& expr, const Scope& scope) {
  SIGNUM_ASSIGN(const auto values, EvaluateAll(expr.parts, scope));
  Dict dict;
  for (size_t i = 0; i < values.size(); i += 2) {
    SIGNUM_ASSIGN(const Value* old, Find(runtime_, dict, values[i]));
    if (old != nullptr) {
      const_cast<Value&>(*old) = values[i + 1];
    } else {
      dict.items.emplace_back(values[i], values[i + 1]);
    }
  }
  return MakeDict(std::move(dict.items));
}

// a < b < c: each pair is compared, as long as they hold.
Result<Value> Interpreter::Comparison(const Expr& expr, const Scope& scope) {
  SIGNUM_ASSIGN(Value left, Evaluate(*expr.parts[0], scope));
  for (size_t i = 0; i < expr.ops.size(); ++i) {
    SIGNUM_ASSIGN(Value right, Evaluate(*expr.parts[i + 1], scope));
    SIGNUM_ASSIGN(const bool holds, Compare(runtime_, expr.ops[i], left, right));
    if (!holds) return Value::Bool(false);
    left = std::move(right);
  }
  return Value::Bool(true);
}

Result<Arguments> Interpreter::ArgumentsOf(const Expr& call, const Scope& scope) {
  Arguments out;
  for (size_t i = 1; i < call.parts.size(); ++i) {
    SIGNUM_ASSIGN(Value value, Evaluate(*call.parts[i], scope));
    out.values.push_back(std::move(value));
  }
  for (const Keyword& keyword : call.keywords) {
    SIGNUM_ASSIGN(Value value, Evaluate(*keyword.value, scope));
    if (keyword.name == "*") {
      SIGNUM_ASSIGN(const auto items, Iterate(runtime_, value));
      out.values.insert(out.values.end(), items.begin(), items.end());
    } else if (keyword.name == "**") {
      if (value.dict() == nullptr) return BadOperand(value, "'**' of a");
      for (const auto& [name, each] : value.dict()->items) {
        if (name.text() == nullptr) return BadOperand(name, "an argument's name is a");
        SIGNUM_TRY(runtime_.Spend());
        out.named.emplace_back(name.text()->bytes(), each);
      }
    } else {
      out.named.emplace_back(keyword.name, std::move(value));
    }
  }
  return out;
}

Result<Value> Interpreter::Call(const Expr& expr, const Scope& scope) {
  SIGNUM_ASSIGN(const Value callee, Evaluate(*expr.parts[0], scope));
  SIGNUM_ASSIGN(const Arguments arguments, ArgumentsOf(expr, scope));
  if (const auto* macro = callee.If<const Statement*>()) return CallMacro(**macro, arguments);
  if (const auto* function = callee.If<Function>()) {
    return CallFunction(runtime_, *function, arguments);
  }
  if (const auto* method = callee.If<std::shared_ptr<const Method>>()) {
    return CallMethod(runtime_, **method, arguments);
  }
  return BadOperand(callee, "a call of a");
}

Result<Value> Interpreter::CallMacro(const Statement& macro, const Arguments& arguments) {
  const std::string& name = macro.target.name;
  if (arguments.values.size() > macro.parameters.size()) {
    return RenderError("the macro '" + Printable(name) + "' is given too many arguments");
  }
  SIGNUM_TRY(runtime_.Spend(arguments.named.size() * macro.parameters.size() / 8));
  Scope inner(&root_);
  for (size_t i = 0; i < macro.parameters.size(); ++i) {
    const Parameter& parameter = macro.parameters[i];
    const Value* given = i < arguments.values.size() ? &arguments.values[i] : nullptr;
    for (const auto& [each, value] : arguments.named) {
      if (each == parameter.name && given == nullptr) given = &value;
    }
    if (given != nullptr) {
      inner.Set(parameter.name, *given);
    } else if (parameter.otherwise != nullptr) {
      SIGNUM_ASSIGN(Value value, Evaluate(*parameter.otherwise, inner));
      inner.Set(parameter.name, std::move(value));
    } else {
      inner.Set(parameter.name,
                Value::Missing("parameter '" + Printable(parameter.name) + "' was not provided"));
    }
  }
  for (const auto& [each, value] : arguments.named) {
    size_t at = 0;
    while (at < macro.parameters.size() && macro.parameters[at].name != each) ++at;
    if (at < arguments.values.size() || at == macro.parameters.size()) {
      return RenderError("the macro '" + Printable(name) + "' takes no '" + Printable(each) +
                         "' there");
    }
  }
  Text out;
  SIGNUM_TRY(Execute(macro.body, inner, out));
  return Value::Of(std::move(out));
}

}  // namespace signum::client::jinja
