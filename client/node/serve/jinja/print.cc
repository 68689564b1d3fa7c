#include "client/node/serve/jinja/print.h"

#include <charconv>
#include <cmath>

#include "client/node/serve/jinja/characters.h"
#include "client/node/serve/jinja/operators.h"

namespace signum::client::jinja {
namespace {

std::string Hex(char prefix, char32_t code, size_t digits) {
  std::string out(digits, '0');
  for (size_t i = digits; i > 0; --i, code >>= 4) out[i - 1] = "0123456789abcdef"[code & 15];
  return std::string("\\") + prefix + out;
}

std::string EscapedForRepr(char32_t code, char quote) {
  std::string out;
  if (code == '\n') return "\\n";
  if (code == '\r') return "\\r";
  if (code == '\t') return "\\t";
  if (code == '\\' || code == static_cast<char32_t>(quote)) out = "\\";
  if (!IsPrintable(code)) {
    if (code < 0x100) return Hex('x', code, 2);
    return code < 0x10000 ? Hex('u', code, 4) : Hex('U', code, 8);
  }
  AppendCharacter(out, code);
  return out;
}

class Printer {
 public:
  Printer(Runtime& runtime, Text& out) : runtime_(runtime), out_(out) {}

  Result<void> Repr(const Value& value) {
    SIGNUM_TRY(runtime_.Spend());
    if (value.undefined()) return Put("Undefined");
    if (value.none()) return Put("None");
    if (const bool* flag = value.If<bool>()) return Put(*flag ? "True" : "False");
    if (const int64_t* whole = value.If<int64_t>()) return Put(std::to_string(*whole));
    if (const double* number = value.If<double>()) return Put(PrintFloat(*number));
    if (value.text() != nullptr) return Repr(*value.text());
    if (value.dict() != nullptr) return Repr(*value.dict());
    const List* list = value.list();
    if (list == nullptr || (list->kind != List::Kind::kList && list->kind != List::Kind::kTuple)) {
      return BadOperand(value, "nothing to print of a");
    }
    const bool tuple = list->kind == List::Kind::kTuple;
    out_.Append(tuple ? "(" : "[");
    for (size_t i = 0; i < list->items.size(); ++i) {
      if (i > 0) out_.Append(", ");
      SIGNUM_TRY(Repr(list->items[i]));
    }
    if (tuple && list->items.size() == 1) out_.Append(",");
    return Put(tuple ? ")" : "]");
  }

 private:
  Result<void> Put(std::string_view text) {
    out_.Append(text);
    return runtime_.Spend(text.size() / 64);
  }

  Result<void> Repr(const Text& text) {
    SIGNUM_TRY(runtime_.Spend(1 + text.size() / 16));
    const bool single =
        text.bytes().find('\'') == std::string::npos || text.bytes().find('"') != std::string::npos;
    const char quote = single ? '\'' : '"';
    std::string escaped;
    for (std::string_view rest = text.view(); !rest.empty();) {
      const Character character = FirstCharacter(rest);
      escaped += EscapedForRepr(character.code, quote);
      rest.remove_prefix(character.size);
    }
    out_.Append(std::string_view(&quote, 1));
    out_.Append(escaped, !text.tainted().empty());
    return Put(std::string_view(&quote, 1));
  }

  Result<void> Repr(const Dict& dict) {
    out_.Append("{");
    for (size_t i = 0; i < dict.items.size(); ++i) {
      if (i > 0) out_.Append(", ");
      SIGNUM_TRY(Repr(dict.items[i].first));
      out_.Append(": ");
      SIGNUM_TRY(Repr(dict.items[i].second));
    }
    return Put("}");
  }

  Runtime& runtime_;
  Text& out_;
};

}  // namespace

std::string PrintFloat(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[64];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  const std::string_view text(buffer, static_cast<size_t>(end.ptr - buffer));
  const size_t e = text.find('e');
  int exponent = 0;
  const char* const digits = text.data() + e + (text[e + 1] == '+' ? 2 : 1);
  std::from_chars(digits, end.ptr, exponent);
  if (exponent < -4 || exponent >= 16) return std::string(text);
  const auto fixed = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed);
  std::string out(buffer, fixed.ptr);
  return out.find('.') == std::string::npos ? out + ".0" : out;
}

Result<Text> Print(Runtime& runtime, const Value& value) {
  if (value.undefined()) return Text();
  if (value.text() != nullptr) {
    SIGNUM_TRY(runtime.SpendOn(*value.text()));
    return *value.text();
  }
  Text out;
  SIGNUM_TRY(Printer(runtime, out).Repr(value));
  return out;
}

}  // namespace signum::client::jinja
