#include <algorithm>

#include "client/node/serve/jinja/builtins.h"
#include "storage/base/name.h"

namespace signum::client::jinja {

Result<std::vector<std::optional<Value>>> Arguments::Bind(
    std::string_view what, std::initializer_list<std::string_view> parameters) const {
  const auto wrong = [&](const std::string& how) {
    return RenderError("'" + std::string(what) + "' is given " + how);
  };
  if (values.size() > parameters.size()) return wrong("too many arguments");
  std::vector<std::optional<Value>> out(values.begin(), values.end());
  out.resize(parameters.size());
  for (const auto& [name, value] : named) {
    const auto at = std::ranges::find(parameters, name);
    if (at == parameters.end()) return wrong("an argument '" + Printable(name) + "'");
    std::optional<Value>& place = out[static_cast<size_t>(at - parameters.begin())];
    if (place) return wrong("the argument '" + Printable(name) + "' twice");
    place = value;
  }
  return out;
}

}  // namespace signum::client::jinja
