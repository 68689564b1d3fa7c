#pragma once

#include <nlohmann/json.hpp>

#include "client/node/serve/jinja/template.h"

namespace signum::client::jinja {

// JSON as values of a template, in the order that it has; `tainted`: its texts come from outside.
inline Value ValueOf(const nlohmann::ordered_json& json, bool tainted = false) {
  if (json.is_boolean()) return Value::Bool(json.get<bool>());
  if (json.is_number_integer()) return Value::Integer(json.get<int64_t>());
  if (json.is_number()) return Value::Float(json.get<double>());
  if (json.is_string()) return Value::Of(Text(json.get<std::string>(), tainted));
  if (json.is_array()) {
    std::vector<Value> items;
    for (const auto& item : json) items.push_back(ValueOf(item, tainted));
    return MakeList(std::move(items)).value();
  }
  if (!json.is_object()) return {};
  std::vector<std::pair<Value, Value>> items;
  for (const auto& [key, item] : json.items()) {
    items.emplace_back(Value::Of(key), ValueOf(item, tainted));
  }
  return MakeDict(std::move(items)).value();
}

inline Variables VariablesOf(const nlohmann::ordered_json& json, bool tainted = false) {
  Variables out;
  for (const auto& [name, value] : json.items()) out.emplace_back(name, ValueOf(value, tainted));
  return out;
}

// 2024-07-26, where the golden files' clock stands.
inline std::tm GoldenTime() {
  std::tm now{};
  now.tm_year = 124;
  now.tm_mon = 6;
  now.tm_mday = 26;
  now.tm_wday = 5;
  now.tm_yday = 207;
  return now;
}

inline Result<Text> RenderText(std::string_view source, const Variables& variables = {}) {
  SIGNUM_ASSIGN(const auto parsed, Template::Parse(source));
  return parsed->Render(variables, GoldenTime());
}

}  // namespace signum::client::jinja
