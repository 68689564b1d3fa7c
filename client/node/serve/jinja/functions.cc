// The functions that every template has.

#include <algorithm>

#include "client/node/serve/jinja/builtins.h"
#include "client/node/serve/jinja/characters.h"
#include "client/node/serve/jinja/operators.h"
#include "client/node/serve/jinja/print.h"
#include "storage/base/name.h"

namespace signum::client::jinja {
namespace {

constexpr std::pair<std::string_view, Function> kFunctions[] = {
    {"range", Function::kRange},
    {"dict", Function::kDict},
    {"namespace", Function::kNamespace},
    {"raise_exception", Function::kRaiseException},
    {"strftime_now", Function::kStrftimeNow},
};

constexpr int64_t kMaxRange = 100'000;  // the sandbox's

Result<Value> Range(Runtime& runtime, const Arguments& arguments) {
  SIGNUM_ASSIGN(const auto given, arguments.Bind("range", {"start", "stop", "step"}));
  std::vector<int64_t> numbers;
  for (const auto& each : given) {
    if (!each) continue;
    if (!each->integer()) return BadOperand(*each, "'range' is given a");
    numbers.push_back(*each->integer());
  }
  if (numbers.empty() || !arguments.named.empty()) return RenderError("'range' without an end");
  const int64_t start = numbers.size() > 1 ? numbers[0] : 0;
  const int64_t stop = numbers.size() > 1 ? numbers[1] : numbers[0];
  const int64_t step = numbers.size() > 2 ? numbers[2] : 1;
  if (step == 0) return RenderError("'range' is given a step of zero");
  std::vector<Value> items;
  for (int64_t at = start; step > 0 ? at < stop : at > stop;) {
    if (items.size() == kMaxRange) return RenderError("a range of more than 100000 numbers");
    items.push_back(Value::Integer(at));
    if (__builtin_add_overflow(at, step, &at)) break;
  }
  SIGNUM_TRY(runtime.Spend(items.size()));
  return MakeList(std::move(items));
}

// What dict and namespace are made of: another dict's items, then what is named.
Result<std::vector<std::pair<Value, Value>>> Items(Runtime& runtime, const Arguments& arguments) {
  std::vector<std::pair<Value, Value>> items;
  if (arguments.values.size() > 1) return RenderError("more than one argument without a name");
  for (const Value& each : arguments.values) {
    if (each.dict() == nullptr) return BadOperand(each, "a dict or namespace of a");
    items = each.dict()->items;
    SIGNUM_TRY(runtime.Spend(items.size()));
  }
  for (const auto& [name, value] : arguments.named) {
    SIGNUM_TRY(runtime.Spend(1 + items.size()));
    const auto old = std::ranges::find_if(items, [&key = name](const auto& item) {
      return item.first.text() != nullptr && item.first.text()->bytes() == key;
    });
    if (old != items.end()) {
      old->second = value;
    } else {
      items.emplace_back(Value::Of(name), value);
    }
  }
  return items;
}

Result<Value> MakeNamespace(Runtime& runtime, const Arguments& arguments) {
  SIGNUM_ASSIGN(auto items, Items(runtime, arguments));
  Value made = runtime.NewNamespace();
  Namespace& space = **made.If<Namespace*>();
  for (auto& [name, value] : items) {
    if (name.text() == nullptr) return BadOperand(name, "an attribute's name is a");
    space.attributes.insert_or_assign(name.text()->bytes(), std::move(value));
  }
  return made;
}

// datetime.now().strftime(format): C's, but for what a time without a zone has not.
Result<Value> StrftimeNow(Runtime& runtime, const Arguments& arguments) {
  SIGNUM_ASSIGN(const auto given, arguments.Bind("strftime_now", {"format"}));
  if (!given[0] || given[0]->text() == nullptr)
    return RenderError("'strftime_now' without a format");
  const std::string& format = given[0]->text()->bytes();
  if (format.size() > 1000) return RenderError("'strftime_now' with a format of such length");
  std::string plain;
  for (size_t i = 0; i < format.size(); ++i) {
    const char next = i + 1 < format.size() ? format[i + 1] : '\0';
    if (format[i] == '%' && next == 'f') {
      return RenderError("microseconds in 'strftime_now' are not supported");
    }
    if (format[i] == '%' && (next == 'z' || next == 'Z')) {
      ++i;
      continue;
    }
    plain += format[i];
    if (format[i] == '%' && next != '\0') plain += format[++i];
  }
  if (plain.empty()) return Value::Of(std::string());
  std::vector<char> buffer(plain.size() * 16 + 64);
  const size_t size = std::strftime(buffer.data(), buffer.size(), plain.c_str(), &runtime.now());
  return Value::Of(std::string(buffer.data(), size));
}

Result<Value> RaiseException(Runtime& runtime, const Arguments& arguments) {
  SIGNUM_ASSIGN(const auto given, arguments.Bind("raise_exception", {"message"}));
  if (!given[0]) return RenderError("'raise_exception' without a message");
  SIGNUM_ASSIGN(const Text message, Print(runtime, *given[0]));
  const size_t end = OffsetOfCharacter(message.view(), 500);
  return Fail(Errc::kInvalid, "bad_messages",
              "the chat template says: " + message.bytes().substr(0, end));
}

}  // namespace

std::optional<Function> FindFunction(std::string_view name) {
  for (const auto& [each, function] : kFunctions) {
    if (each == name) return function;
  }
  return std::nullopt;
}

Result<Value> CallFunction(Runtime& runtime, Function function, const Arguments& arguments) {
  switch (function) {
    case Function::kRange:
      return Range(runtime, arguments);
    case Function::kDict: {
      SIGNUM_ASSIGN(auto items, Items(runtime, arguments));
      return MakeDict(std::move(items));
    }
    case Function::kNamespace:
      return MakeNamespace(runtime, arguments);
    case Function::kRaiseException:
      return RaiseException(runtime, arguments);
    case Function::kStrftimeNow:
      return StrftimeNow(runtime, arguments);
  }
  return RenderError("no such function");
}

}  // namespace signum::client::jinja
