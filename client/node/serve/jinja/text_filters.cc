#include <algorithm>

#include "client/node/serve/jinja/characters.h"
#include "client/node/serve/jinja/filters.h"
#include "client/node/serve/jinja/operators.h"
#include "client/node/serve/jinja/print.h"
#include "client/node/serve/jinja/strings.h"

namespace signum::client::jinja {
namespace {

// Filters of one text without arguments.
template <Text (*map)(const Text&)>
Result<Value> Mapped(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SIGNUM_TRY(arguments.Bind("a filter", {}));
  SIGNUM_ASSIGN(const Text text, Print(runtime, input));
  SIGNUM_TRY(runtime.Spend(text.size() / 16));
  return Value::Of(map(text));
}

bool BeginsWords(char32_t code) {
  return IsSpace(code) || code == '-' || code == '(' || code == '{' || code == '[' || code == '<';
}

// The filter's own title: words begin after blanks, hyphens and brackets.
Text TitleWords(const Text& text) {
  Text out;
  for (size_t at = 0; at < text.size();) {
    const size_t first = at + FirstCharacter(text.view().substr(at)).size;
    size_t end = first;
    const bool word = !BeginsWords(FirstCharacter(text.view().substr(at)).code);
    for (Character c = FirstCharacter(text.view().substr(end));
         word && c.size > 0 && !BeginsWords(c.code); c = FirstCharacter(text.view().substr(end))) {
      end += c.size;
    }
    out.Append(UpperCase(text.Part(at, first)));
    out.Append(LowerCase(text.Part(first, end)));
    at = end;
  }
  return out;
}

Text Safe(const Text& text) {
  Text out = text;
  out.markup = true;
  return out;
}

Result<Value> String(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SIGNUM_TRY(arguments.Bind("string", {}));
  SIGNUM_ASSIGN(Text text, Print(runtime, input));
  return Value::Of(std::move(text));
}

Result<Value> Trim(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SIGNUM_ASSIGN(const auto given, arguments.Bind("trim", {"chars"}));
  SIGNUM_ASSIGN(Text text, Print(runtime, input));
  Arguments characters;
  if (given[0]) characters.values.push_back(*given[0]);
  return CallMethod(runtime, {Value::Of(std::move(text)), "strip"}, characters);
}

Result<Value> ReplaceFilter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SIGNUM_ASSIGN(const auto given, arguments.Bind("replace", {"old", "new", "count"}));
  if (!given[0] || !given[1]) return RenderError("'replace' without its two texts");
  const Value count = given[2].value_or(Value());
  if (!count.none() && !count.integer())
    return BadOperand(count, "'replace' is given a count that is a");
  SIGNUM_ASSIGN(const Text text, Print(runtime, input));
  SIGNUM_ASSIGN(const Text what, Print(runtime, *given[0]));
  SIGNUM_ASSIGN(const Text by, Print(runtime, *given[1]));
  SIGNUM_ASSIGN(Text out, Replace(runtime, text, what, by, count.integer().value_or(-1)));
  return Value::Of(std::move(out));
}

Result<Value> Indent(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SIGNUM_ASSIGN(const auto given, arguments.Bind("indent", {"width", "first", "blank"}));
  if (input.text() == nullptr) return BadOperand(input, "'indent' of a");
  const Value width = given[0].value_or(Value::Integer(int64_t{4}));
  Text indent;
  if (width.text() != nullptr) indent = *width.text();
  if (width.integer()) {
    if (*width.integer() > 1000) return RenderError("'indent' by more than 1000");
    indent = Text(std::string(static_cast<size_t>(std::max<int64_t>(*width.integer(), 0)), ' '));
  }
  const bool first = given[1] && given[1]->Truth(), blank = given[2] && given[2]->Truth();
  Text whole = *input.text();
  whole.Append("\n");  // so that an end of line at the end stays
  Text out;
  if (first) out.Append(indent);
  SIGNUM_TRY(SpendOnParts(runtime, whole, nullptr));
  const std::vector<Value> lines = SplitLines(whole, false);
  for (size_t i = 0; i < lines.size(); ++i) {
    const Text& line = *lines[i].text();
    SIGNUM_TRY(runtime.Spend(1 + (line.size() + indent.size()) / 64));
    if (i > 0) out.Append("\n");
    if (i > 0 && (blank || !line.empty())) out.Append(indent);
    out.Append(line);
  }
  return Value::Of(std::move(out));
}

Result<Value> Format(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SIGNUM_ASSIGN(const Text format, Print(runtime, input));
  if (!arguments.named.empty())
    return RenderError("'format' with named arguments is not supported");
  SIGNUM_ASSIGN(const Value values, MakeList(arguments.values, List::Kind::kTuple));
  return FormatPercent(runtime, format, values);
}

// tojson as transformers gives it to templates: json.dumps, not Jinja's own, which escapes HTML.
Result<Value> ToJson(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SIGNUM_ASSIGN(const auto given,
                arguments.Bind("tojson", {"ensure_ascii", "indent", "separators", "sort_keys"}));
  JsonStyle style;
  style.ascii = given[0] && given[0]->Truth();
  style.sorted = given[3] && given[3]->Truth();
  const Value indent = given[1].value_or(Value());
  style.lines = !indent.none();
  if (style.lines) style.item_separator = ",";
  if (indent.text() != nullptr) style.indent = indent.text()->bytes();
  if (indent.integer()) {
    if (*indent.integer() > 1000) return RenderError("'tojson' indented by more than 1000");
    style.indent.assign(static_cast<size_t>(std::max<int64_t>(*indent.integer(), 0)), ' ');
  } else if (style.lines && indent.text() == nullptr) {
    return BadOperand(indent, "'tojson' is given an indent that is a");
  }
  const Value separators = given[2].value_or(Value());
  if (!separators.none()) {
    const List* list = separators.list();
    if (list == nullptr || list->items.size() != 2 || list->items[0].text() == nullptr ||
        list->items[1].text() == nullptr) {
      return BadOperand(separators, "'tojson' is given separators that are a");
    }
    if (list->items[0].text()->size() + list->items[1].text()->size() > 1000) {
      return RenderError("'tojson' with separators of such length");
    }
    style.item_separator = list->items[0].text()->bytes();
    style.key_separator = list->items[1].text()->bytes();
  }
  SIGNUM_ASSIGN(Text out, PrintJson(runtime, input, style));
  return Value::Of(std::move(out));
}

constexpr FilterRow kFilters[] = {
    {"capitalize", Mapped<Capitalized>},
    {"e", Mapped<Escaped>},
    {"escape", Mapped<Escaped>},
    {"format", Format},
    {"indent", Indent},
    {"lower", Mapped<LowerCase>},
    {"replace", ReplaceFilter},
    {"safe", Mapped<Safe>},
    {"string", String},
    {"title", Mapped<TitleWords>},
    {"tojson", ToJson},
    {"trim", Trim},
    {"upper", Mapped<UpperCase>},
};

}  // namespace

std::span<const FilterRow> TextFilters() { return kFilters; }

}  // namespace signum::client::jinja
