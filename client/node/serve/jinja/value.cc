#include "client/node/serve/jinja/value.h"

#include <algorithm>

#include "client/node/serve/jinja/loop.h"

namespace signum::client::jinja {
namespace {

constexpr int kMaxDepth = 64;
constexpr size_t kMaxNamespaces = 1000;

}  // namespace

Error RenderError(const std::string& what) {
  return Fail(Errc::kInvalid, "chat_template_failed", what);
}

std::optional<int64_t> Value::integer() const {
  if (const bool* flag = If<bool>()) return *flag ? 1 : 0;
  if (const int64_t* number = If<int64_t>()) return *number;
  return std::nullopt;
}

std::optional<double> Value::number() const {
  if (const double* number = If<double>()) return *number;
  if (const auto whole = integer()) return static_cast<double>(*whole);
  return std::nullopt;
}

bool Value::Truth() const {
  if (undefined() || none()) return false;
  if (const auto value = number()) return *value != 0;
  if (text() != nullptr) return !text()->empty();
  if (list() != nullptr) return list()->kind == List::Kind::kGenerator || !list()->items.empty();
  if (dict() != nullptr) return !dict()->items.empty();
  return true;
}

std::string Value::TypeName() const {
  static constexpr const char* kNames[] = {
      "undefined", "none",      "bool",        "int",   "float",    "str",   "list",
      "dict",      "namespace", "LoopContext", "macro", "function", "method"};
  const List* items = list();
  if (items != nullptr && items->kind == List::Kind::kTuple) return "tuple";
  if (items != nullptr && items->kind == List::Kind::kView) return "view of a dict";
  if (items != nullptr && items->kind == List::Kind::kGenerator) return "generator";
  return kNames[data_.index()];
}

int Value::depth() const {
  if (list() != nullptr) return list()->depth;
  if (dict() != nullptr) return dict()->depth;
  if (const auto* loop = If<std::shared_ptr<Loop>>()) return (*loop)->depth();
  if (const auto* method = If<std::shared_ptr<const Method>>())
    return (*method)->object.depth() + 1;
  return 0;
}

Result<void> Runtime::Spend(uint64_t work) {
  if (work > left_) {
    left_ = 0;
    return RenderError("the template takes too long, or makes too much text");
  }
  left_ -= work;
  return {};
}

Value Runtime::NewNamespace() {
  if (namespaces_.size() >= kMaxNamespaces) left_ = 0;  // the next step fails
  return Value::Variant(&namespaces_.emplace_back());
}

Result<Value> MakeList(std::vector<Value> items, List::Kind kind) {
  auto list = std::make_shared<List>();
  for (const Value& item : items) list->depth = std::max(list->depth, item.depth() + 1);
  if (list->depth > kMaxDepth) return RenderError("lists lie too deep in one another");
  list->items = std::move(items);
  list->kind = kind;
  return Value(Value::Variant(Value::ListPtr(std::move(list))));
}

Result<Value> MakeDict(std::vector<std::pair<Value, Value>> items) {
  auto dict = std::make_shared<Dict>();
  for (const auto& [key, value] : items) {
    dict->depth = std::max({dict->depth, key.depth() + 1, value.depth() + 1});
  }
  if (dict->depth > kMaxDepth) return RenderError("dicts lie too deep in one another");
  dict->items = std::move(items);
  return Value(Value::Variant(Value::DictPtr(std::move(dict))));
}

}  // namespace signum::client::jinja
