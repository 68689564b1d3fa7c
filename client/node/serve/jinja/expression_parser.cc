#include "client/node/serve/jinja/expression_parser.h"

#include <algorithm>

namespace signum::client::jinja {
namespace {

using Kind = Expr::Kind;

constexpr int kMaxNesting = 60;
constexpr int kMaxDepth = 200;

struct BinaryOperator {
  std::string_view text;
  Kind kind;
  Op op = Op::kAdd;  // of kBinary
};
// From the loosest to the tightest. Two levels have functions of their own.
const std::vector<BinaryOperator> kLevels[] = {
    {{"or", Kind::kOr}},
    {{"and", Kind::kAnd}},
    {},  // not, comparisons
    {{"+", Kind::kBinary, Op::kAdd}, {"-", Kind::kBinary, Op::kSubtract}},
    {},  // ~
    {{"*", Kind::kBinary, Op::kMultiply},
     {"/", Kind::kBinary, Op::kDivide},
     {"//", Kind::kBinary, Op::kFloorDivide},
     {"%", Kind::kBinary, Op::kModulo}},
    {{"**", Kind::kBinary, Op::kPower}},
};
constexpr size_t kComparisonLevel = 2, kConcatLevel = 4;

constexpr std::pair<std::string_view, Op> kComparisons[] = {
    {"==", Op::kEqual},     {"!=", Op::kUnequal}, {"<", Op::kLess},
    {"<=", Op::kLessEqual}, {">", Op::kGreater},  {">=", Op::kGreaterEqual},
};

}  // namespace

ExprPtr ExpressionParser::New(Kind kind) const {
  auto node = std::make_unique<Expr>();
  node->kind = kind;
  node->line = tokens_.Now().line;
  return node;
}

Result<void> ExpressionParser::Add(Expr& to, ExprPtr part) const {
  if (part != nullptr) to.depth = std::max(to.depth, part->depth + 1);
  if (to.depth > kMaxDepth) return tokens_.Failed("an expression of too many parts");
  to.parts.push_back(std::move(part));
  return {};
}

Result<ExprPtr> ExpressionParser::Expression(bool conditions) {
  if (nesting_ == kMaxNesting) return tokens_.Failed("expressions too deep in one another");
  ++nesting_;
  SIGNUM_ASSIGN(ExprPtr node, Binary(0));
  while (conditions && tokens_.SeesName("if")) {
    ExprPtr condition = New(Kind::kCondition);
    tokens_.Take();
    SIGNUM_TRY(Add(*condition, std::move(node)));
    SIGNUM_ASSIGN(ExprPtr test, Binary(0));
    SIGNUM_TRY(Add(*condition, std::move(test)));
    ExprPtr otherwise;
    if (tokens_.TakeName("else")) {
      SIGNUM_ASSIGN(otherwise, Expression());
    }
    SIGNUM_TRY(Add(*condition, std::move(otherwise)));
    node = std::move(condition);
  }
  --nesting_;
  return node;
}

Result<ExprPtr> ExpressionParser::ExpressionOrTuple(bool conditions) {
  ExprPtr tuple = New(Kind::kTuple);
  while (true) {
    SIGNUM_ASSIGN(ExprPtr part, Expression(conditions));
    if (tuple->parts.empty() && !tokens_.SeesOperator(",")) return part;
    SIGNUM_TRY(Add(*tuple, std::move(part)));
    const bool comma = tokens_.TakeOperator(",");
    const auto next = tokens_.Now().kind;
    const bool ends = next == Token::Kind::kVariableEnd || next == Token::Kind::kBlockEnd ||
                      tokens_.SeesOperator(")");
    if (!comma || ends) return tuple;
  }
}

Result<ExprPtr> ExpressionParser::Binary(size_t level) {
  if (level == kComparisonLevel) return Compare();
  if (level == kConcatLevel) return Concat();
  if (level == std::size(kLevels)) return Unary(true);
  SIGNUM_ASSIGN(ExprPtr left, Binary(level + 1));
  while (true) {
    const auto op = std::ranges::find_if(kLevels[level], [&](const BinaryOperator& each) {
      return tokens_.SeesOperator(each.text) || tokens_.SeesName(each.text);
    });
    if (op == kLevels[level].end()) return left;
    ExprPtr node = New(op->kind);
    node->ops.push_back(op->op);
    tokens_.Take();
    SIGNUM_TRY(Add(*node, std::move(left)));
    SIGNUM_ASSIGN(ExprPtr right, Binary(level + 1));
    SIGNUM_TRY(Add(*node, std::move(right)));
    left = std::move(node);
  }
}

bool ExpressionParser::TakeComparison(Op& op) {
  for (const auto& [text, each] : kComparisons) {
    if (!tokens_.TakeOperator(text)) continue;
    op = each;
    return true;
  }
  const bool negated = tokens_.SeesName("not") && tokens_.Ahead().Is(Token::Kind::kName, "in");
  if (negated) tokens_.Take();
  op = negated ? Op::kNotIn : Op::kIn;
  return tokens_.TakeName("in");
}

Result<ExprPtr> ExpressionParser::Compare() {
  if (tokens_.SeesName("not")) {
    if (nesting_ == kMaxNesting) return tokens_.Failed("expressions too deep in one another");
    ExprPtr node = New(Kind::kNot);
    tokens_.Take();
    ++nesting_;
    SIGNUM_ASSIGN(ExprPtr part, Compare());
    --nesting_;
    SIGNUM_TRY(Add(*node, std::move(part)));
    return node;
  }
  ExprPtr node = New(Kind::kCompare);
  SIGNUM_ASSIGN(ExprPtr first, Binary(kComparisonLevel + 1));
  Op op = Op::kEqual;
  if (!TakeComparison(op)) return first;
  SIGNUM_TRY(Add(*node, std::move(first)));
  do {
    node->ops.push_back(op);
    SIGNUM_ASSIGN(ExprPtr next, Binary(kComparisonLevel + 1));
    SIGNUM_TRY(Add(*node, std::move(next)));
  } while (TakeComparison(op));
  return node;
}

Result<ExprPtr> ExpressionParser::Concat() {
  ExprPtr node = New(Kind::kConcat);
  SIGNUM_ASSIGN(ExprPtr first, Binary(kConcatLevel + 1));
  if (!tokens_.SeesOperator("~")) return first;
  SIGNUM_TRY(Add(*node, std::move(first)));
  while (tokens_.TakeOperator("~")) {
    SIGNUM_ASSIGN(ExprPtr next, Binary(kConcatLevel + 1));
    SIGNUM_TRY(Add(*node, std::move(next)));
  }
  return node;
}

Result<ExprPtr> ExpressionParser::Unary(bool filters) {
  ExprPtr node;
  if (tokens_.SeesOperator("-") || tokens_.SeesOperator("+")) {
    if (nesting_ == kMaxNesting) return tokens_.Failed("expressions too deep in one another");
    node = New(tokens_.SeesOperator("-") ? Kind::kMinus : Kind::kPlus);
    tokens_.Take();
    ++nesting_;
    SIGNUM_ASSIGN(ExprPtr part, Unary(false));
    --nesting_;
    SIGNUM_TRY(Add(*node, std::move(part)));
  } else {
    SIGNUM_ASSIGN(node, Primary());
  }
  SIGNUM_ASSIGN(node, Postfix(std::move(node)));
  if (!filters) return node;
  return FiltersAndTests(std::move(node));
}

Result<ExprPtr> ExpressionParser::Filters(ExprPtr input, bool bare) {
  while (bare || tokens_.TakeOperator("|")) {
    bare = false;
    ExprPtr node = New(Kind::kFilter);
    SIGNUM_ASSIGN(node->name, tokens_.ExpectName());
    SIGNUM_TRY(Add(*node, std::move(input)));
    if (tokens_.SeesOperator("(")) SIGNUM_TRY(Arguments(*node));
    SIGNUM_TRY(CheckFilter(*node));
    input = std::move(node);
  }
  return input;
}

Result<ExprPtr> ExpressionParser::FiltersAndTests(ExprPtr node) {
  while (true) {
    if (tokens_.SeesOperator("|")) {
      SIGNUM_ASSIGN(node, Filters(std::move(node)));
    } else if (tokens_.SeesName("is")) {
      SIGNUM_ASSIGN(node, Test(std::move(node)));
    } else if (tokens_.SeesOperator("(")) {
      SIGNUM_ASSIGN(node, Call(std::move(node)));
    } else {
      return node;
    }
  }
}

Result<ExprPtr> ExpressionParser::Test(ExprPtr input) {
  ExprPtr node = New(Kind::kTest);
  tokens_.Take();
  ExprPtr negation = tokens_.SeesName("not") ? New(Kind::kNot) : nullptr;
  if (negation != nullptr) tokens_.Take();
  SIGNUM_ASSIGN(node->name, tokens_.ExpectName());
  SIGNUM_TRY(Add(*node, std::move(input)));
  const auto next = tokens_.Now().kind;
  const bool word = tokens_.SeesName("else") || tokens_.SeesName("or") || tokens_.SeesName("and");
  if (tokens_.SeesOperator("(")) {
    SIGNUM_TRY(Arguments(*node));
  } else if ((next == Token::Kind::kName && !word) || next == Token::Kind::kString ||
             next == Token::Kind::kInteger || next == Token::Kind::kFloat ||
             tokens_.SeesOperator("[") || tokens_.SeesOperator("{")) {
    if (tokens_.SeesName("is")) return tokens_.Failed("tests in a chain");
    SIGNUM_ASSIGN(ExprPtr argument, Primary());
    SIGNUM_ASSIGN(argument, Postfix(std::move(argument)));
    SIGNUM_TRY(Add(*node, std::move(argument)));
  }
  SIGNUM_TRY(CheckTest(*node));
  if (negation == nullptr) return node;
  SIGNUM_TRY(Add(*negation, std::move(node)));
  return negation;
}

}  // namespace signum::client::jinja
