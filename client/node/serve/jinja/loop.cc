#include "client/node/serve/jinja/loop.h"

#include <algorithm>

namespace signum::client::jinja {

Loop::Loop(std::vector<Value> items, Filter filter)
    : items_(std::move(items)), filter_(std::move(filter)) {
  if (!filter_) passed_ = asked_ = items_.size();
  for (const Value& item : items_) depth_ = std::max(depth_, item.depth() + 1);
}

Result<bool> Loop::Has(size_t n) {
  while (passed_ < n && asked_ < items_.size()) {
    SIGNUM_ASSIGN(const bool passes, filter_(items_[asked_]));
    if (passes && passed_ != asked_) items_[passed_] = std::move(items_[asked_]);
    passed_ += passes ? 1 : 0;
    ++asked_;
  }
  return passed_ >= n;
}

Result<size_t> Loop::Length() {
  SIGNUM_TRY(Has(items_.size()));
  return passed_;
}

Result<bool> Loop::Advance() {
  const size_t next = begun_ ? at_ + 1 : 0;
  SIGNUM_ASSIGN(const bool more, Has(next + 1));
  if (more) at_ = next;
  begun_ = true;
  return more;
}

void Loop::Close() {
  filter_ = nullptr;
  asked_ = items_.size();
}

Result<std::optional<Value>> Loop::Attribute(std::string_view name) {
  const auto is = [&](std::string_view other) { return name == other; };
  if (is("index")) return std::optional(Value::Integer(at_ + 1));
  if (is("index0")) return std::optional(Value::Integer(at_));
  if (is("first")) return std::optional(Value::Bool(at_ == 0));
  if (is("depth")) return std::optional(Value::Integer(int64_t{1}));
  if (is("depth0")) return std::optional(Value::Integer(int64_t{0}));
  if (is("previtem")) {
    return std::optional(at_ > 0 ? items_[at_ - 1] : Value::Missing("there is no previous item"));
  }
  if (is("last") || is("nextitem")) {
    SIGNUM_ASSIGN(const bool more, Has(at_ + 2));
    if (is("last")) return std::optional(Value::Bool(!more));
    return std::optional(more ? items_[at_ + 1] : Value::Missing("there is no next item"));
  }
  if (is("length") || is("revindex") || is("revindex0")) {
    SIGNUM_ASSIGN(const size_t length, Length());
    if (is("length")) return std::optional(Value::Integer(length));
    return std::optional(Value::Integer(length - at_ - (is("revindex0") ? 1 : 0)));
  }
  return std::optional<Value>();
}

}  // namespace signum::client::jinja
