// "%s" % x and "{}".format(x): the conversions that templates use, and no others.

#include <charconv>
#include <cmath>
#include <cstdio>

#include "client/node/serve/jinja/operators.h"
#include "client/node/serve/jinja/print.h"
#include "client/node/serve/jinja/strings.h"
#include "storage/base/name.h"

namespace signum::client::jinja {
namespace {

Error Unsupported(std::string_view conversion) {
  return RenderError("the conversion '" + Printable(conversion) + "' of a format is not supported");
}

// %d of an integer or float.
Result<std::string> Whole(const Value& value) {
  if (value.integer()) return std::to_string(*value.integer());
  const auto number = value.number();
  if (!number || !(std::fabs(*number) < 9e18)) return BadOperand(value, "no %d of");
  return std::to_string(static_cast<int64_t>(*number));
}

Result<std::string> Fixed(const Value& value, int digits) {
  if (!value.number()) return BadOperand(value, "no %f of");
  char buffer[400];
  const int n = std::snprintf(buffer, sizeof buffer, "%.*f", digits, *value.number());
  return std::string(buffer, static_cast<size_t>(std::min<int>(n, sizeof buffer - 1)));
}

Result<Text> Converted(Runtime& runtime, char conversion, int digits, const Value& value) {
  if (conversion == 's') return Print(runtime, value);
  SIGNUM_ASSIGN(std::string text,
                conversion == 'f' ? Fixed(value, digits < 0 ? 6 : digits) : Whole(value));
  return Text(std::move(text));
}

}  // namespace

Result<Value> FormatPercent(Runtime& runtime, const Text& format, const Value& values) {
  const List* list = values.list();
  const bool tuple = list != nullptr && list->kind == List::Kind::kTuple;
  const std::vector<Value> arguments = tuple ? list->items : std::vector<Value>{values};
  size_t next = 0;
  Text out;
  SIGNUM_TRY(runtime.SpendOn(format));
  for (size_t at = 0; at < format.size();) {
    const size_t percent = std::min(format.bytes().find('%', at), format.size());
    out.Append(format, at, percent);
    if (percent == format.size()) break;
    at = percent + 1;
    int digits = -1;
    if (at < format.size() && format.bytes()[at] == '.') {
      const char* const end = format.bytes().data() + format.size();
      const auto parsed = std::from_chars(format.bytes().data() + at + 1, end, digits);
      at = static_cast<size_t>(parsed.ptr - format.bytes().data());
      if (digits < 0 || digits > 50) return Unsupported(format.view().substr(percent, 8));
    }
    const char conversion = at < format.size() ? format.bytes()[at++] : '\0';
    if (conversion == '%' && digits < 0) {
      out.Append("%");
      continue;
    }
    const bool known =
        conversion == 'f' ||
        ((conversion == 's' || conversion == 'd' || conversion == 'i') && digits < 0);
    if (!known) return Unsupported(format.view().substr(percent, at - percent));
    if (next == arguments.size()) return RenderError("not enough arguments for a format");
    SIGNUM_ASSIGN(const Text text, Converted(runtime, conversion, digits, arguments[next++]));
    out.Append(text);
  }
  if (next < arguments.size() && (tuple || values.dict() == nullptr)) {
    return RenderError("too many arguments for a format");
  }
  return Value::Of(std::move(out));
}

Result<Value> FormatBraces(Runtime& runtime, const Text& format, const std::vector<Value>& values,
                           const std::vector<std::pair<std::string, Value>>& named) {
  size_t next = 0;
  Text out;
  SIGNUM_TRY(runtime.SpendOn(format));
  for (size_t at = 0; at < format.size();) {
    const size_t brace = std::min(format.bytes().find_first_of("{}", at), format.size());
    out.Append(format, at, brace);
    if (brace == format.size()) break;
    const char c = format.bytes()[brace];
    at = brace + 1;
    if (at < format.size() && format.bytes()[at] == c) {
      out.Append(std::string_view(&c, 1));
      ++at;
      continue;
    }
    const size_t end = format.bytes().find('}', at);
    if (c == '}' || end == std::string::npos) return RenderError("a lone brace in a format");
    const std::string field = format.bytes().substr(at, end - at);
    at = end + 1;
    const Value* value = nullptr;
    size_t index = next;
    const auto parsed = std::from_chars(field.data(), field.data() + field.size(), index);
    if (field.empty() || (parsed.ec == std::errc() && parsed.ptr == field.data() + field.size())) {
      next += field.empty() ? 1 : 0;
      if (index < values.size()) value = &values[index];
    }
    for (const auto& [name, each] : named) {
      if (name == field) value = &each;
    }
    if (value == nullptr) return Unsupported("{" + field + "}");
    SIGNUM_ASSIGN(const Text text, Print(runtime, *value));
    out.Append(text);
  }
  return Value::Of(std::move(out));
}

}  // namespace signum::client::jinja
