#include "client/node/serve/jinja/name_use.h"

#include <algorithm>

#include "client/node/serve/jinja/builtins.h"

namespace signum::client::jinja {
namespace {

bool IsGiven(std::string_view name) {
  static constexpr std::string_view kGiven[] = {"messages", "tools", "documents",
                                                "add_generation_prompt"};
  return std::ranges::find(kGiven, name) != std::end(kGiven) || name.ends_with("_token") ||
         FindFunction(name);
}

}  // namespace

void NameUse::Leave() {
  Scope inner = std::move(scopes_.back());
  scopes_.pop_back();
  inner.within.merge(inner.read);
  for (const std::string& name : inner.within) {
    if (!inner.set.contains(name)) scopes_.back().within.insert(name);
  }
}

void NameUse::Read(const std::string& name) {
  if (!scopes_.back().set.contains(name)) scopes_.back().read.insert(name);
}

bool NameUse::Set(const std::string& name) {
  Scope& scope = scopes_.back();
  const bool known = std::ranges::any_of(scopes_, [&](const Scope& each) {
    return each.read.contains(name) || each.set.contains(name);
  });
  const bool too_late = scope.branches == 0 && !known && scope.within.contains(name);
  scope.set.insert(name);
  return !too_late || !IsGiven(name);
}

}  // namespace signum::client::jinja
