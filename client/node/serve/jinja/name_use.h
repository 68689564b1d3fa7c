#pragma once

#include <set>
#include <string>
#include <vector>

namespace signum::client::jinja {

// Who reads a name before its scope sets it. Jinja decides by the text, not by what has run: where
// the first that a scope does with a name is to set it, outside of an `if`, what lies within and
// before (a loop, a macro) finds it undefined, even where the template was given such a variable.
// Here it would find what was given, so that is refused.
class NameUse {
 public:
  void Enter() { scopes_.emplace_back(); }
  void Leave();
  // An `if` begins (1), or ends (-1).
  void Branch(int by) { scopes_.back().branches += by; }

  void Read(const std::string& name);
  // False: `name` is one that templates are given, and is read before, in a scope within.
  bool Set(const std::string& name);

 private:
  struct Scope {
    std::set<std::string> read, set;  // by the scope itself
    std::set<std::string> within;     // read by scopes within it, of what they do not set
    int branches = 0;
  };
  std::vector<Scope> scopes_{1};
};

}  // namespace signum::client::jinja
