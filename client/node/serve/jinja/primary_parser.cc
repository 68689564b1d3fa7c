// The tightest parts of ExpressionParser: literals, names, attributes, subscripts, calls.

#include <algorithm>
#include <charconv>

#include "client/node/serve/jinja/builtins.h"
#include "client/node/serve/jinja/expression_parser.h"

namespace signum::client::jinja {
namespace {

using Kind = Expr::Kind;

constexpr size_t kMaxArguments = 255;

// What Jinja itself gives a template and this interpreter does not.
constexpr std::string_view kUnsupportedNames[] = {"caller", "varargs", "kwargs", "self",
                                                  "super",  "cycler",  "joiner", "lipsum"};

}  // namespace

Result<ExprPtr> ExpressionParser::Primary() {
  switch (tokens_.Now().kind) {
    case Token::Kind::kName:
      return Name();
    case Token::Kind::kInteger:
    case Token::Kind::kFloat:
      return Number();
    case Token::Kind::kString: {
      ExprPtr node = New(Kind::kConst);
      std::string text;
      while (tokens_.Now().kind == Token::Kind::kString) text += tokens_.Take().text;
      node->value = Value::Of(std::move(text));
      return node;
    }
    default:
      break;
  }
  if (tokens_.SeesOperator("[")) return List();
  if (tokens_.SeesOperator("{")) return Dict();
  if (!tokens_.SeesOperator("(")) return tokens_.Unexpected();
  ExprPtr empty = New(Kind::kTuple);
  tokens_.Take();
  if (tokens_.TakeOperator(")")) return empty;
  SIGNUM_ASSIGN(ExprPtr node, ExpressionOrTuple());
  SIGNUM_TRY(tokens_.ExpectOperator(")"));
  return node;
}

Result<ExprPtr> ExpressionParser::Name() {
  ExprPtr node = New(Kind::kConst);
  const std::string& name = tokens_.Take().text;
  if (name == "true" || name == "True") {
    node->value = Value::Bool(true);
  } else if (name == "false" || name == "False") {
    node->value = Value::Bool(false);
  } else if (name != "none" && name != "None") {
    if (std::ranges::find(kUnsupportedNames, name) != std::end(kUnsupportedNames)) {
      return TemplateError(node->line, "'" + name + "'");
    }
    names_.Read(name);
    node->kind = Kind::kName;
    node->name = name;
  }
  return node;
}

Result<ExprPtr> ExpressionParser::Number() {
  ExprPtr node = New(Kind::kConst);
  const Token& token = tokens_.Take();
  const char* const end = token.text.data() + token.text.size();
  int64_t whole = 0;
  double number = 0;
  const bool fits = token.kind == Token::Kind::kInteger
                        ? std::from_chars(token.text.data(), end, whole).ec == std::errc()
                        : std::from_chars(token.text.data(), end, number).ec == std::errc();
  if (!fits) return TemplateError(node->line, "a number of this size");
  node->value = token.kind == Token::Kind::kInteger ? Value::Integer(whole) : Value::Float(number);
  return node;
}

Result<ExprPtr> ExpressionParser::List() {
  ExprPtr node = New(Kind::kList);
  tokens_.Take();
  while (!tokens_.SeesOperator("]")) {
    SIGNUM_ASSIGN(ExprPtr item, Expression());
    SIGNUM_TRY(Add(*node, std::move(item)));
    if (!tokens_.TakeOperator(",")) break;
  }
  SIGNUM_TRY(tokens_.ExpectOperator("]"));
  return node;
}

Result<ExprPtr> ExpressionParser::Dict() {
  ExprPtr node = New(Kind::kDict);
  tokens_.Take();
  while (!tokens_.SeesOperator("}")) {
    SIGNUM_ASSIGN(ExprPtr key, Expression());
    SIGNUM_TRY(Add(*node, std::move(key)));
    SIGNUM_TRY(tokens_.ExpectOperator(":"));
    SIGNUM_ASSIGN(ExprPtr value, Expression());
    SIGNUM_TRY(Add(*node, std::move(value)));
    if (!tokens_.TakeOperator(",")) break;
  }
  SIGNUM_TRY(tokens_.ExpectOperator("}"));
  return node;
}

Result<ExprPtr> ExpressionParser::Postfix(ExprPtr node) {
  while (true) {
    if (tokens_.SeesOperator(".")) {
      SIGNUM_ASSIGN(node, Attribute(std::move(node)));
    } else if (tokens_.SeesOperator("[")) {
      SIGNUM_ASSIGN(node, Subscript(std::move(node)));
    } else if (tokens_.SeesOperator("(")) {
      SIGNUM_ASSIGN(node, Call(std::move(node)));
    } else {
      return node;
    }
  }
}

Result<ExprPtr> ExpressionParser::Attribute(ExprPtr object) {
  tokens_.Take();
  ExprPtr node = New(Kind::kAttribute);
  SIGNUM_TRY(Add(*node, std::move(object)));
  if (tokens_.Now().kind == Token::Kind::kInteger) {  // x.0 is x[0]
    node->kind = Kind::kSubscript;
    SIGNUM_ASSIGN(ExprPtr index, Number());
    SIGNUM_TRY(Add(*node, std::move(index)));
    return node;
  }
  SIGNUM_ASSIGN(node->name, tokens_.ExpectName());
  if (!node->name.starts_with("__")) return node;
  return TemplateError(node->line, "the attribute '" + Printable(node->name) + "'");
}

Result<ExprPtr> ExpressionParser::Subscript(ExprPtr object) {
  ExprPtr node = New(Kind::kSubscript);
  tokens_.Take();
  SIGNUM_TRY(Add(*node, std::move(object)));
  for (int at = 0; at < 3; ++at) {
    ExprPtr part;
    if (!tokens_.SeesOperator(":") && !tokens_.SeesOperator("]")) {
      SIGNUM_ASSIGN(part, Expression());
    }
    if (at == 0 && part == nullptr && tokens_.SeesOperator("]")) return tokens_.Unexpected();
    SIGNUM_TRY(Add(*node, std::move(part)));
    if (at == 2 || !tokens_.TakeOperator(":")) break;
    node->kind = Kind::kSlice;
  }
  SIGNUM_TRY(tokens_.ExpectOperator("]"));
  if (node->kind == Kind::kSlice) node->parts.resize(4);
  return node;
}

Result<ExprPtr> ExpressionParser::Call(ExprPtr callee) {
  ExprPtr node = New(Kind::kCall);
  if (callee->kind == Kind::kAttribute && !IsMethod(callee->name)) {
    return TemplateError(node->line, "the method '" + Printable(callee->name) + "'");
  }
  SIGNUM_TRY(Add(*node, std::move(callee)));
  SIGNUM_TRY(Arguments(*node));
  return node;
}

Result<void> ExpressionParser::Arguments(Expr& call) {
  tokens_.Take();
  while (!tokens_.SeesOperator(")")) {
    if (call.parts.size() + call.keywords.size() > kMaxArguments) {
      return tokens_.Failed("a call of so many arguments");
    }
    const bool named =
        tokens_.Now().kind == Token::Kind::kName && tokens_.Ahead().Is(Token::Kind::kOperator, "=");
    const bool unpacked = tokens_.SeesOperator("*") || tokens_.SeesOperator("**");
    if (!named && !unpacked && !call.keywords.empty()) return tokens_.Unexpected();
    std::string name;
    if (named || unpacked) name = tokens_.Take().text;
    if (named) tokens_.Take();
    SIGNUM_ASSIGN(ExprPtr value, Expression());
    if (named || unpacked) {
      call.depth = std::max(call.depth, value->depth + 1);
      call.keywords.push_back({std::move(name), std::move(value)});
    } else {
      SIGNUM_TRY(Add(call, std::move(value)));
    }
    if (!tokens_.TakeOperator(",")) break;
  }
  return tokens_.ExpectOperator(")");
}

// A filter or test that another one is given by its name must be known too.
Result<void> ExpressionParser::CheckFilter(const Expr& filter) const {
  if (!IsFilter(filter.name)) {
    return TemplateError(filter.line, "the filter '" + Printable(filter.name) + "'");
  }
  const bool attribute = filter.name.ends_with("attr");
  const size_t at = attribute ? 2 : 1;
  const bool takes_test = filter.name.starts_with("select") || filter.name.starts_with("reject");
  if ((!takes_test && filter.name != "map") || filter.parts.size() <= at) return {};
  const Text* name = filter.parts[at]->value.text();
  if (name == nullptr || (takes_test ? IsTest(name->view()) : IsFilter(name->view()))) return {};
  return TemplateError(filter.line, std::string(takes_test ? "the test '" : "the filter '") +
                                        Printable(name->view()) + "'");
}

Result<void> ExpressionParser::CheckTest(const Expr& test) const {
  if (IsTest(test.name)) return {};
  return TemplateError(test.line, "the test '" + Printable(test.name) + "'");
}

}  // namespace signum::client::jinja
