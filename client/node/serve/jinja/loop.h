#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "client/node/serve/jinja/value.h"

namespace signum::client::jinja {

// A for loop on its way, and the `loop` of its body. What `if` lets through is asked for as late as
// Jinja asks: when the next round begins, or when the body wants to know of it.
class Loop {
 public:
  using Filter = std::function<Result<bool>(const Value&)>;

  Loop(std::vector<Value> items, Filter filter);

  // Goes to the next item; false: there is none.
  Result<bool> Advance();
  const Value& item() const { return items_[at_]; }
  // The loop is over: nothing is asked any more, whoever still holds it.
  void Close();

  // loop.index and its kin; nothing where a loop has no such attribute.
  Result<std::optional<Value>> Attribute(std::string_view name);
  size_t index0() const { return at_; }
  int depth() const { return depth_; }

 private:
  // Whether at least `n` items have passed the filter; those that have stand first.
  Result<bool> Has(size_t n);
  Result<size_t> Length();

  std::vector<Value> items_;
  Filter filter_;
  size_t passed_ = 0, asked_ = 0;  // how many have passed; how many were asked
  size_t at_ = 0;
  bool begun_ = false;
  int depth_ = 1;
};

}  // namespace signum::client::jinja
