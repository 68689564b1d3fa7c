#include <algorithm>
#include <cmath>

#include "client/node/serve/jinja/characters.h"
#include "client/node/serve/jinja/operators.h"
#include "client/node/serve/jinja/print.h"

namespace signum::client::jinja {
namespace {

std::string Unit(char32_t code) {
  std::string out = "\\u0000";
  for (size_t i = 5; i > 1; --i, code >>= 4) out[i] = "0123456789abcdef"[code & 15];
  return out;
}

std::string Escaped(char32_t code, bool ascii) {
  static constexpr std::string_view kSpecial = "\"\\\n\r\t\b\f", kLetters = "\"\\nrtbf";
  std::string out;
  if (code < 0x80) {
    const size_t at = kSpecial.find(static_cast<char>(code));
    if (at != kSpecial.npos) return std::string("\\") + kLetters[at];
    if (code < 0x20) return Unit(code);
  }
  if (!ascii || code < 0x7f || code == 0x7f) {
    AppendCharacter(out, code);
  } else if (code < 0x10000) {
    out = Unit(code);
  } else {
    out = Unit(0xd800 + ((code - 0x10000) >> 10)) + Unit(0xdc00 + ((code - 0x10000) & 0x3ff));
  }
  return out;
}

class JsonPrinter {
 public:
  JsonPrinter(Runtime& runtime, const JsonStyle& style, Text& out)
      : runtime_(runtime), style_(style), out_(out) {}

  Result<void> Print(const Value& value, int depth) {
    SIGNUM_TRY(runtime_.Spend());
    if (value.text() != nullptr) return PrintText(*value.text());
    if (value.dict() != nullptr) return PrintDict(*value.dict(), depth);
    const List* list = value.list();
    if (list != nullptr && (list->kind == List::Kind::kList || list->kind == List::Kind::kTuple)) {
      return PrintList(list->items, depth);
    }
    SIGNUM_ASSIGN(const std::string text, Plain(value));
    out_.Append(text);
    return {};
  }

 private:
  // What stands for itself, also as a key.
  static Result<std::string> Plain(const Value& value) {
    if (value.none()) return std::string("null");
    if (const bool* flag = value.If<bool>()) return std::string(*flag ? "true" : "false");
    if (const int64_t* whole = value.If<int64_t>()) return std::to_string(*whole);
    const double* number = value.If<double>();
    if (number == nullptr) return RenderError("no JSON of " + value.TypeName());
    if (std::isnan(*number)) return std::string("NaN");
    if (std::isinf(*number)) return std::string(*number < 0 ? "-Infinity" : "Infinity");
    return PrintFloat(*number);
  }

  Result<void> PrintText(const Text& text) {
    SIGNUM_TRY(runtime_.Spend(1 + text.size() / 16));
    std::string escaped;
    for (std::string_view rest = text.view(); !rest.empty();) {
      const Character character = FirstCharacter(rest);
      escaped += Escaped(character.code, style_.ascii);
      rest.remove_prefix(character.size);
    }
    out_.Append("\"");
    out_.Append(escaped, !text.tainted().empty());
    out_.Append("\"");
    return {};
  }

  Result<void> Break(int depth) {
    if (!style_.lines) return {};
    SIGNUM_TRY(runtime_.Spend(1 + style_.indent.size() * static_cast<size_t>(depth) / 64));
    out_.Append("\n");
    for (int i = 0; i < depth; ++i) out_.Append(style_.indent);
    return {};
  }

  Result<void> PrintList(const std::vector<Value>& items, int depth) {
    out_.Append("[");
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out_.Append(style_.item_separator);
      SIGNUM_TRY(Break(depth + 1));
      SIGNUM_TRY(Print(items[i], depth + 1));
    }
    if (!items.empty()) SIGNUM_TRY(Break(depth));
    out_.Append("]");
    return {};
  }

  Result<void> PrintDict(const Dict& dict, int depth) {
    std::vector<const std::pair<Value, Value>*> items;
    for (const auto& item : dict.items) items.push_back(&item);
    SIGNUM_TRY(runtime_.Spend(items.size()));
    if (style_.sorted) SIGNUM_TRY(Sort(items));
    out_.Append("{");
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out_.Append(style_.item_separator);
      SIGNUM_TRY(Break(depth + 1));
      const Value& key = items[i]->first;
      if (key.text() != nullptr) {
        SIGNUM_TRY(PrintText(*key.text()));
      } else {
        SIGNUM_ASSIGN(const std::string text, Plain(key));
        out_.Append("\"" + text + "\"");
      }
      out_.Append(style_.key_separator);
      SIGNUM_TRY(Print(items[i]->second, depth + 1));
    }
    if (!items.empty()) SIGNUM_TRY(Break(depth));
    out_.Append("}");
    return {};
  }

  static Result<void> Sort(std::vector<const std::pair<Value, Value>*>& items) {
    for (const auto* item : items) {
      if (item->first.text() == nullptr) return RenderError("sort_keys needs keys that are text");
    }
    std::ranges::stable_sort(items, {}, [](const auto* item) -> const std::string& {
      return item->first.text()->bytes();
    });
    return {};
  }

  Runtime& runtime_;
  const JsonStyle& style_;
  Text& out_;
};

}  // namespace

Result<Text> PrintJson(Runtime& runtime, const Value& value, const JsonStyle& style) {
  Text out;
  SIGNUM_TRY(JsonPrinter(runtime, style, out).Print(value, 0));
  return out;
}

}  // namespace signum::client::jinja
