#include "client/node/serve/jinja/filters.h"

#include <algorithm>

namespace signum::client::jinja {
namespace {

const FilterRow* Find(std::string_view name) {
  for (const auto rows : {TextFilters(), ListFilters(), NumberFilters()}) {
    const auto row = std::ranges::find(rows, name, &FilterRow::first);
    if (row != rows.end()) return &*row;
  }
  return nullptr;
}

// What text made by `safe` may go through: the others would escape what they join to it.
constexpr std::string_view kOfMarkup[] = {"safe",    "e", "escape", "string", "tojson",
                                          "default", "d", "length", "count"};

}  // namespace

bool IsFilter(std::string_view name) { return Find(name) != nullptr; }

Result<Value> CallFilter(Runtime& runtime, std::string_view name, const Value& input,
                         const Arguments& arguments) {
  SIGNUM_TRY(runtime.Spend());
  const FilterRow* row = Find(name);
  if (row == nullptr) {
    return RenderError("the filter '" + std::string(name) + "' is not supported");
  }
  const Text* text = input.text();
  if (text != nullptr) {
    SIGNUM_TRY(runtime.SpendOn(*text));
    if (text->markup && std::ranges::find(kOfMarkup, name) == std::end(kOfMarkup)) {
      return RenderError("filters of text made by 'safe' or 'escape' are not supported");
    }
  }
  return row->second(runtime, input, arguments);
}

}  // namespace signum::client::jinja
