// What stands behind "is".

#include <algorithm>

#include "client/node/serve/jinja/builtins.h"
#include "client/node/serve/jinja/characters.h"
#include "client/node/serve/jinja/operators.h"
#include "client/node/serve/jinja/print.h"

namespace signum::client::jinja {
namespace {

// What is undefined can be called too: it fails then.
bool IsCallable(const Value& value) {
  return value.undefined() || value.If<const Statement*>() != nullptr ||
         value.If<Function>() != nullptr || value.If<std::shared_ptr<const Method>>() != nullptr;
}

bool IsIterable(const Value& value) {
  return value.undefined() || value.text() != nullptr || value.list() != nullptr ||
         value.dict() != nullptr || value.If<std::shared_ptr<Loop>>() != nullptr;
}

bool IsSequence(const Value& value) {
  return Length(value) && (value.list() == nullptr || value.list()->kind != List::Kind::kView);
}

bool IsInteger(const Value& value) { return value.If<int64_t>() != nullptr; }
bool IsTrue(const Value& value) { return value.If<bool>() != nullptr && *value.If<bool>(); }
bool IsFalse(const Value& value) { return value.If<bool>() != nullptr && !*value.If<bool>(); }
bool IsMarkup(const Value& value) { return value.text() != nullptr && value.text()->markup; }

// Tests of the value alone, which can't fail.
constexpr std::pair<std::string_view, bool (*)(const Value&)> kKinds[] = {
    {"defined", [](const Value& value) { return !value.undefined(); }},
    {"undefined", [](const Value& value) { return value.undefined(); }},
    {"none", [](const Value& value) { return value.none(); }},
    {"boolean", [](const Value& value) { return value.If<bool>() != nullptr; }},
    {"true", IsTrue},
    {"false", IsFalse},
    {"integer", IsInteger},
    {"float", [](const Value& value) { return value.If<double>() != nullptr; }},
    {"number", [](const Value& value) { return value.number().has_value(); }},
    {"string", [](const Value& value) { return value.text() != nullptr; }},
    {"mapping", [](const Value& value) { return value.dict() != nullptr; }},
    {"iterable", IsIterable},
    {"sequence", IsSequence},
    {"callable", IsCallable},
    {"escaped", IsMarkup},
};

// Those that compare with one argument.
constexpr std::pair<std::string_view, Op> kComparisons[] = {
    {"==", Op::kEqual},        {"eq", Op::kEqual},
    {"equalto", Op::kEqual},   {"!=", Op::kUnequal},
    {"ne", Op::kUnequal},      {">", Op::kGreater},
    {"gt", Op::kGreater},      {"greaterthan", Op::kGreater},
    {">=", Op::kGreaterEqual}, {"ge", Op::kGreaterEqual},
    {"<", Op::kLess},          {"lt", Op::kLess},
    {"lessthan", Op::kLess},   {"<=", Op::kLessEqual},
    {"le", Op::kLessEqual},    {"in", Op::kIn},
};

constexpr std::string_view kOthers[] = {"odd",   "even",  "divisibleby", "sameas",
                                        "lower", "upper", "filter",      "test"};

template <class Table>
auto Find(const Table& table, std::string_view name) {
  return std::ranges::find(table, name, [](const auto& row) { return row.first; });
}

Result<bool> Divisible(Runtime& runtime, const Value& value, int64_t by, int64_t rest) {
  SIGNUM_ASSIGN(const Value left, Arithmetic(runtime, Op::kModulo, value, Value::Integer(by)));
  return left.number() && *left.number() == static_cast<double>(rest);
}

// str.islower and str.isupper.
Result<bool> HasCase(Runtime& runtime, const Value& value, bool upper) {
  SIGNUM_ASSIGN(const Text text, Print(runtime, value));
  SIGNUM_TRY(runtime.Spend(text.size() / 16));
  bool cased = false;
  for (std::string_view rest = text.view(); !rest.empty();) {
    const Character c = FirstCharacter(rest);
    if (IsCased(c.code) && !(upper ? IsUpper(c.code) : IsLower(c.code))) return false;
    cased = cased || IsCased(c.code);
    rest.remove_prefix(c.size);
  }
  return cased;
}

// "is": the same object. Of values without an identity here, an error.
Result<bool> Same(Runtime& runtime, const Value& a, const Value& b) {
  const bool simple = a.none() || b.none() || a.If<bool>() != nullptr || b.If<bool>() != nullptr;
  if (!simple) return RenderError("the test 'sameas' is supported of none and booleans alone");
  if ((a.If<bool>() == nullptr) != (b.If<bool>() == nullptr)) return false;
  return Equal(runtime, a, b);
}

Result<bool> OtherTest(Runtime& runtime, std::string_view name, const Value& input,
                       const Arguments& arguments) {
  const bool takes_one = name == "divisibleby" || name == "sameas";
  if (arguments.values.size() != (takes_one ? 1 : 0) || !arguments.named.empty()) {
    return RenderError("the test '" + std::string(name) + "' is given the wrong arguments");
  }
  if (name == "odd" || name == "even") return Divisible(runtime, input, 2, name == "odd" ? 1 : 0);
  if (name == "lower" || name == "upper") return HasCase(runtime, input, name == "upper");
  if (name == "sameas") return Same(runtime, input, arguments.values[0]);
  if (name == "divisibleby") {
    const auto by = arguments.values[0].integer();
    if (!by) return BadOperand(arguments.values[0], "'divisibleby' is given a");
    return Divisible(runtime, input, *by, 0);
  }
  const Text* text = input.text();
  if (text == nullptr) return BadOperand(input, "the name of a filter or test is a");
  return name == "filter" ? IsFilter(text->view()) : IsTest(text->view());
}

}  // namespace

bool IsTest(std::string_view name) {
  return Find(kKinds, name) != std::end(kKinds) ||
         Find(kComparisons, name) != std::end(kComparisons) ||
         std::ranges::find(kOthers, name) != std::end(kOthers);
}

Result<bool> CallTest(Runtime& runtime, std::string_view name, const Value& input,
                      const Arguments& arguments) {
  SIGNUM_TRY(runtime.Spend());
  if (const auto kind = Find(kKinds, name); kind != std::end(kKinds)) {
    SIGNUM_TRY(arguments.Bind(name, {}));
    return kind->second(input);
  }
  if (const auto op = Find(kComparisons, name); op != std::end(kComparisons)) {
    if (arguments.values.size() != 1 || !arguments.named.empty()) {
      return RenderError("the test '" + std::string(name) + "' needs one argument");
    }
    return Compare(runtime, op->second, input, arguments.values[0]);
  }
  if (IsTest(name)) return OtherTest(runtime, name, input, arguments);
  return RenderError("the test '" + std::string(name) + "' is not supported");
}

}  // namespace signum::client::jinja
