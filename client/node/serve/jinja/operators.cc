#include "client/node/serve/jinja/operators.h"

#include <algorithm>
#include <cmath>

#include "client/node/serve/jinja/strings.h"

namespace signum::client::jinja {
namespace {

Error NotFor(Op op, const Value& a, const Value& b) {
  static constexpr const char* kSigns[] = {"+", "-", "*", "/", "//", "%", "**"};
  if (a.undefined()) return BadOperand(a, "");
  return BadOperand(
      b, std::string("no '") + kSigns[static_cast<size_t>(op)] + "' of " + a.TypeName() + " and");
}

Error TooLarge() { return RenderError("a number is too large"); }

int64_t FloorDivided(int64_t a, int64_t b) {
  return a / b - ((a % b != 0) && ((a < 0) != (b < 0)));
}

Result<Value> PowerOf(int64_t a, int64_t b) {
  int64_t out = 1;
  for (int64_t i = 0; i < b && out != 0; ++i) {
    if (__builtin_mul_overflow(out, a, &out)) return TooLarge();
    if (a == 1 || (a == -1 && i >= 1)) return Value::Integer(a == 1 || b % 2 == 0 ? int64_t{1} : a);
  }
  return Value::Integer(out);
}

Result<Value> OfIntegers(Op op, int64_t a, int64_t b) {
  int64_t out = 0;
  bool overflow = false;
  if (b == 0 && (op == Op::kDivide || op == Op::kFloorDivide || op == Op::kModulo)) {
    return RenderError("a division by zero");
  }
  if (b == -1 && (op == Op::kFloorDivide || op == Op::kModulo)) {  // INT64_MIN / -1
    return op == Op::kModulo ? Result<Value>(Value::Integer(int64_t{0}))
                             : OfIntegers(Op::kSubtract, 0, a);
  }
  switch (op) {
    case Op::kAdd:
      overflow = __builtin_add_overflow(a, b, &out);
      break;
    case Op::kSubtract:
      overflow = __builtin_sub_overflow(a, b, &out);
      break;
    case Op::kMultiply:
      overflow = __builtin_mul_overflow(a, b, &out);
      break;
    case Op::kFloorDivide:
      out = FloorDivided(a, b);
      break;
    case Op::kModulo:
      out = a - FloorDivided(a, b) * b;
      break;
    case Op::kDivide:
      return Value::Float(static_cast<double>(a) / static_cast<double>(b));
    default:
      if (b < 0 && a == 0) return RenderError("a division by zero");
      if (b < 0) return Value::Float(std::pow(static_cast<double>(a), static_cast<double>(b)));
      return PowerOf(a, b);
  }
  if (overflow) return TooLarge();
  return Value::Integer(out);
}

Result<Value> OfFloats(Op op, double a, double b) {
  if (b == 0 && (op == Op::kDivide || op == Op::kFloorDivide || op == Op::kModulo)) {
    return RenderError("a division by zero");
  }
  switch (op) {
    case Op::kAdd:
      return Value::Float(a + b);
    case Op::kSubtract:
      return Value::Float(a - b);
    case Op::kMultiply:
      return Value::Float(a * b);
    case Op::kDivide:
      return Value::Float(a / b);
    case Op::kFloorDivide:
      return Value::Float(std::floor(a / b));
    case Op::kModulo: {
      const double rest = std::fmod(a, b);
      return Value::Float(rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest);
    }
    default:
      break;
  }
  const double power = std::pow(a, b);
  if (std::isnan(power) || std::isinf(power)) return TooLarge();
  return Value::Float(power);
}

// A text or list, several times over.
Result<Value> Repeat(Runtime& runtime, const Value& value, int64_t times) {
  const auto n = static_cast<uint64_t>(std::max<int64_t>(times, 0));
  if (const Text* text = value.text()) {
    if (n > (1u << 30) || text->size() > (1u << 30)) return TooLarge();
    SIGNUM_TRY(runtime.Spend(n * (1 + text->size() / 64)));
    Text out;
    for (uint64_t i = 0; i < n; ++i) out.Append(*text);
    return Value::Of(std::move(out));
  }
  if (n > (1u << 30) || value.list()->items.size() > (1u << 30)) return TooLarge();
  SIGNUM_TRY(runtime.Spend(n * value.list()->items.size()));
  std::vector<Value> items;
  if (value.list()->items.empty()) return MakeList({}, value.list()->kind);
  for (uint64_t i = 0; i < n; ++i) {
    items.insert(items.end(), value.list()->items.begin(), value.list()->items.end());
  }
  return MakeList(std::move(items), value.list()->kind);
}

bool IsSequence(const Value& value) {
  const List* list = value.list();
  return value.text() != nullptr ||
         (list != nullptr && (list->kind == List::Kind::kList || list->kind == List::Kind::kTuple));
}

Result<Value> Joined(Runtime& runtime, const Value& a, const Value& b) {
  if (a.text() != nullptr) {
    const bool markup = a.text()->markup || b.text()->markup;
    SIGNUM_TRY(runtime.Spend(markup ? (a.text()->size() + b.text()->size()) / 16 : 0));
    Text out = markup ? Escaped(*a.text()) : *a.text();
    out.Append(markup ? Escaped(*b.text()) : *b.text());
    SIGNUM_TRY(runtime.SpendOn(out));
    return Value::Of(std::move(out));
  }
  SIGNUM_TRY(runtime.Spend(a.list()->items.size() + b.list()->items.size()));
  std::vector<Value> items = a.list()->items;
  items.insert(items.end(), b.list()->items.begin(), b.list()->items.end());
  return MakeList(std::move(items), a.list()->kind);
}

}  // namespace

Result<Value> Arithmetic(Runtime& runtime, Op op, const Value& a, const Value& b) {
  for (const Value* each : {&a, &b}) {
    if (op == Op::kAdd || each->text() == nullptr || !each->text()->markup) continue;
    return RenderError("such arithmetic with text made by 'safe' or 'escape' is not supported");
  }
  if (a.integer() && b.integer()) return OfIntegers(op, *a.integer(), *b.integer());
  if (a.number() && b.number()) return OfFloats(op, *a.number(), *b.number());
  const bool texts = a.text() != nullptr && b.text() != nullptr;
  const bool lists = a.list() != nullptr && b.list() != nullptr && IsSequence(a) &&
                     a.list()->kind == b.list()->kind;
  if (op == Op::kAdd && (texts || lists)) return Joined(runtime, a, b);
  if (op == Op::kMultiply && IsSequence(a) && b.integer()) return Repeat(runtime, a, *b.integer());
  if (op == Op::kMultiply && a.integer() && IsSequence(b)) return Repeat(runtime, b, *a.integer());
  if (op == Op::kModulo && a.text() != nullptr && !b.undefined()) {
    return FormatPercent(runtime, *a.text(), b);
  }
  return NotFor(op, a, b);
}

Result<Value> Negative(const Value& value) {
  if (value.integer()) return OfIntegers(Op::kSubtract, 0, *value.integer());
  if (value.number()) return Value::Float(-*value.number());
  return BadOperand(value, "no '-' of");
}

}  // namespace signum::client::jinja
