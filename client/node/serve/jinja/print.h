#pragma once

#include "client/node/serve/jinja/value.h"

namespace signum::client::jinja {

// str(value), as {{ value }} prints it. Of what Python prints by its address, and of generators, an
// error.
Result<Text> Print(Runtime& runtime, const Value& value);

// json.dumps's parameters, with the defaults of the filter that transformers gives templates.
struct JsonStyle {
  bool ascii = false;
  bool sorted = false;
  bool lines = false;  // each item on its own, indented
  std::string indent;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};
Result<Text> PrintJson(Runtime& runtime, const Value& value, const JsonStyle& style);

// repr of a float: the shortest digits that are the same number.
std::string PrintFloat(double value);

}  // namespace signum::client::jinja
