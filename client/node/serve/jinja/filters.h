#pragma once

#include "client/node/serve/jinja/builtins.h"

// The filters of each file, for the table in filters.cc.

namespace signum::client::jinja {

using Filter = Result<Value> (*)(Runtime& runtime, const Value& input, const Arguments& arguments);
using FilterRow = std::pair<std::string_view, Filter>;

std::span<const FilterRow> TextFilters();
std::span<const FilterRow> ListFilters();
std::span<const FilterRow> NumberFilters();

// item.attribute, where the attribute is a path ("a.b.0") or an index; `otherwise` where that is
// undefined.
Result<Value> AttributeOf(Runtime& runtime, Value item, const Value& attribute,
                          const Value* otherwise = nullptr);

}  // namespace signum::client::jinja
