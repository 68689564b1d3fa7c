#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "client/node/serve/jinja/value.h"

// Filters, tests, methods and functions. Each takes its arguments as Python does: by place or name.

namespace signum::client::jinja {

struct Arguments {
  std::vector<Value> values;
  std::vector<std::pair<std::string, Value>> named;

  // The arguments of a call of `what` by its parameters, in their order; nothing where one is left
  // out. Errors: too many, unknown, given twice.
  Result<std::vector<std::optional<Value>>> Bind(
      std::string_view what, std::initializer_list<std::string_view> parameters) const;
};

// Whether there is one of that name, for the parser.
bool IsFilter(std::string_view name);
bool IsTest(std::string_view name);
bool IsMethod(std::string_view name);

Result<Value> CallFilter(Runtime& runtime, std::string_view name, const Value& input,
                         const Arguments& arguments);
Result<bool> CallTest(Runtime& runtime, std::string_view name, const Value& input,
                      const Arguments& arguments);
Result<Value> CallMethod(Runtime& runtime, const Method& method, const Arguments& arguments);
Result<Value> CallFunction(Runtime& runtime, Function function, const Arguments& arguments);

// Whether Python's value of that type has such a method, supported here or not.
bool HasMethod(const Value& object, std::string_view name);
std::optional<Function> FindFunction(std::string_view name);

}  // namespace signum::client::jinja
