#include <charconv>
#include <cmath>
#include <cstdio>

#include "client/node/serve/jinja/filters.h"
#include "client/node/serve/jinja/operators.h"
#include "client/node/serve/jinja/strings.h"

namespace signum::client::jinja {
namespace {

// The number that all of a text is, blanks around it aside, as Python's int and float read it.
template <class Number>
std::optional<Number> Parse(const Text& text) {
  const Text stripped = Strip(text, Side::kBoth, nullptr);
  std::string digits = stripped.bytes();
  const bool plus = digits.starts_with('+') && !digits.starts_with("+-");
  if (plus) digits.erase(0, 1);
  Number out{};
  const char* const end = digits.data() + digits.size();
  const auto parsed = std::from_chars(digits.data(), end, out);
  if (digits.empty() || parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return out;
}

std::optional<double> FloatOf(const Value& value) {
  if (value.text() != nullptr) return Parse<double>(*value.text());
  return value.number();
}

Result<Value> Int(Runtime&, const Value& input, const Arguments& arguments) {
  SIGNUM_ASSIGN(const auto given, arguments.Bind("int", {"default", "base"}));
  if (given[1]) return RenderError("'int' with a base is not supported");
  if (input.undefined()) return BadOperand(input, "");
  if (input.integer()) return Value::Integer(*input.integer());
  if (input.text() != nullptr) {
    if (const auto whole = Parse<int64_t>(*input.text())) return Value::Integer(*whole);
  }
  const auto number = FloatOf(input);
  if (!number || !std::isfinite(*number)) return given[0].value_or(Value::Integer(int64_t{0}));
  if (std::fabs(*number) >= 9e18) return RenderError("a number is too large");
  return Value::Integer(static_cast<int64_t>(*number));
}

Result<Value> Float(Runtime&, const Value& input, const Arguments& arguments) {
  SIGNUM_ASSIGN(const auto given, arguments.Bind("float", {"default"}));
  if (input.undefined()) return BadOperand(input, "");
  const auto number = FloatOf(input);
  return number ? Value::Float(*number) : given[0].value_or(Value::Float(0));
}

Result<Value> Abs(Runtime&, const Value& input, const Arguments& arguments) {
  SIGNUM_TRY(arguments.Bind("abs", {}));
  if (!input.number()) return BadOperand(input, "'abs' of a");
  if (*input.number() < 0) return Negative(input);
  return input.integer() ? Value::Integer(*input.integer()) : input;
}

// Python's round: to even where it is in the middle, by the number's exact value.
Result<Value> Round(Runtime&, const Value& input, const Arguments& arguments) {
  SIGNUM_ASSIGN(const auto given, arguments.Bind("round", {"precision", "method"}));
  if (!input.number()) return BadOperand(input, "'round' of a");
  const int64_t places = given[0] ? given[0]->integer().value_or(-1) : 0;
  if (places < 0 || places > 20) return RenderError("'round' to such places is not supported");
  const std::string method =
      given[1] && given[1]->text() != nullptr ? given[1]->text()->bytes() : "common";
  const double number = *input.number();
  if (method == "common") {
    if (input.integer()) return Value::Integer(*input.integer());
    char buffer[400];
    const int size = std::snprintf(buffer, sizeof buffer, "%.*f", static_cast<int>(places), number);
    double rounded = number;
    std::from_chars(buffer, buffer + size, rounded);
    return Value::Float(rounded);
  }
  const double scale = std::pow(10.0, static_cast<double>(places));
  if (method == "ceil") return Value::Float(std::ceil(number * scale) / scale);
  if (method == "floor") return Value::Float(std::floor(number * scale) / scale);
  return RenderError("'round' by an unknown method");
}

Result<Value> Sum(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SIGNUM_ASSIGN(const auto given, arguments.Bind("sum", {"attribute", "start"}));
  Value total = given[1].value_or(Value::Integer(int64_t{0}));
  if (total.text() != nullptr) return RenderError("'sum' of texts");
  SIGNUM_ASSIGN(const auto items, Iterate(runtime, input));
  for (const Value& each : items) {
    Value item = each;
    if (given[0] && !given[0]->none()) {
      SIGNUM_ASSIGN(item, AttributeOf(runtime, each, *given[0]));
    }
    SIGNUM_ASSIGN(total, Arithmetic(runtime, Op::kAdd, total, item));
  }
  return total;
}

constexpr FilterRow kFilters[] = {
    {"abs", Abs}, {"float", Float}, {"int", Int}, {"round", Round}, {"sum", Sum},
};

}  // namespace

std::span<const FilterRow> NumberFilters() { return kFilters; }

}  // namespace signum::client::jinja
