// What is in a value: items, attributes, subscripts, slices.

#include <algorithm>

#include "client/node/serve/jinja/builtins.h"
#include "client/node/serve/jinja/characters.h"
#include "client/node/serve/jinja/loop.h"
#include "client/node/serve/jinja/operators.h"
#include "storage/base/name.h"

namespace signum::client::jinja {
namespace {

bool HasElements(const List& list) {
  return list.kind == List::Kind::kList || list.kind == List::Kind::kTuple;
}

Value NoSuch(const Value& object, const std::string& what) {
  return Value::Missing("'" + object.TypeName() + "' has no " + what);
}

// The attribute proper: of a namespace, a loop, or a method; nothing where there is none.
Result<std::optional<Value>> OwnAttribute(const Value& object, const std::string& name) {
  if (Namespace* const* space = object.If<Namespace*>()) {
    const auto at = (*space)->attributes.find(name);
    return at != (*space)->attributes.end() ? std::optional(at->second) : std::nullopt;
  }
  if (const auto* loop = object.If<std::shared_ptr<Loop>>()) {
    SIGNUM_ASSIGN(auto value, (*loop)->Attribute(name));
    if (value) return value;
  }
  if (!HasMethod(object, name)) return std::optional<Value>();
  return std::optional(Value(Value::Variant(std::make_shared<const Method>(Method{object, name}))));
}

// The element of a key; nothing where there is none.
Result<std::optional<Value>> Element(Runtime& runtime, const Value& object, const Value& key) {
  std::optional<Value> out;
  if (object.dict() != nullptr) {
    SIGNUM_ASSIGN(const Value* value, Find(runtime, *object.dict(), key));
    if (value != nullptr) out = *value;
    return out;
  }
  const auto length = Length(object);
  const bool elements =
      object.text() != nullptr || (object.list() != nullptr && HasElements(*object.list()));
  if (!elements || !key.integer()) return out;
  const int64_t size = static_cast<int64_t>(*length);
  const int64_t at = *key.integer() < 0 ? *key.integer() + size : *key.integer();
  if (at < 0 || at >= size) return out;
  if (object.list() != nullptr) {
    out = object.list()->items[static_cast<size_t>(at)];
    return out;
  }
  const Text& text = *object.text();
  SIGNUM_TRY(runtime.SpendOn(text));
  const size_t begin = OffsetOfCharacter(text.view(), static_cast<size_t>(at));
  const size_t end = begin + FirstCharacter(text.view().substr(begin)).size;
  out = Value::Of(text.Part(begin, end));
  return out;
}

// One end of a slice: none, or an index within [low, high].
Result<int64_t> Bound(const Value& value, int64_t size, int64_t low, int64_t high, int64_t none) {
  if (value.none()) return none;
  if (!value.integer()) return BadOperand(value, "an end of a slice is a");
  const int64_t at = *value.integer() < 0 ? *value.integer() + size : *value.integer();
  return std::clamp(at, low, high);
}

}  // namespace

std::optional<size_t> Length(const Value& value) {
  if (value.undefined()) return 0;
  if (value.text() != nullptr) return CountCharacters(value.text()->view());
  if (value.dict() != nullptr) return value.dict()->items.size();
  if (value.list() != nullptr && value.list()->kind != List::Kind::kGenerator) {
    return value.list()->items.size();
  }
  return std::nullopt;
}

Result<std::vector<Value>> Iterate(Runtime& runtime, const Value& value) {
  std::vector<Value> out;
  if (value.undefined()) return out;
  if (const List* list = value.list()) {
    SIGNUM_TRY(runtime.Spend(1 + list->items.size()));
    if (list->kind != List::Kind::kGenerator) return list->items;
    out.assign(list->items.begin() + static_cast<std::ptrdiff_t>(list->next), list->items.end());
    list->next = list->items.size();
    return out;
  }
  if (const Dict* dict = value.dict()) {
    SIGNUM_TRY(runtime.Spend(1 + dict->items.size()));
    for (const auto& [key, unused] : dict->items) out.push_back(key);
    return out;
  }
  const Text* text = value.text();
  if (text == nullptr) return BadOperand(value, "nothing to go through in");
  SIGNUM_TRY(runtime.Spend(1 + text->size() * 4));  // each is a text, of some hundred bytes
  for (size_t at = 0; at < text->size();) {
    const size_t size = FirstCharacter(text->view().substr(at)).size;
    out.push_back(Value::Of(text->Part(at, at + size)));
    at += size;
  }
  return out;
}

Result<Value> Attribute(Runtime& runtime, const Value& object, const std::string& name) {
  if (object.undefined()) return BadOperand(object, "");
  SIGNUM_ASSIGN(const auto own, OwnAttribute(object, name));
  if (own) return *own;
  SIGNUM_ASSIGN(const auto element, Element(runtime, object, Value::Of(name)));
  return element ? *element : NoSuch(object, "attribute '" + Printable(name) + "'");
}

Result<Value> Subscript(Runtime& runtime, const Value& object, const Value& key) {
  if (object.undefined()) return BadOperand(object, "");
  const bool hashable = object.dict() == nullptr ||
                        (key.dict() == nullptr && key.list() == nullptr) ||
                        (key.list() != nullptr && key.list()->kind == List::Kind::kTuple);
  if (!hashable) return NoSuch(object, "such element");
  SIGNUM_ASSIGN(const auto element, Element(runtime, object, key));
  if (element) return *element;
  if (key.text() == nullptr) return NoSuch(object, "such element");
  SIGNUM_ASSIGN(const auto own, OwnAttribute(object, key.text()->bytes()));
  return own ? *own : NoSuch(object, "element '" + Printable(key.text()->bytes()) + "'");
}

Result<Value> Slice(Runtime& runtime, const Value& object, const Value& begin, const Value& end,
                    const Value& step) {
  if (object.undefined()) return BadOperand(object, "");
  const Text* text = object.text();
  if (text == nullptr && (object.list() == nullptr || !HasElements(*object.list()))) {
    return BadOperand(object, "no slices of a");
  }
  if (!step.none() && !step.integer()) return BadOperand(step, "the step of a slice is a");
  const int64_t by = step.integer().value_or(1);
  if (by == 0) return RenderError("the step of a slice is zero");
  const auto size = static_cast<int64_t>(Length(object).value_or(0));
  const int64_t low = by < 0 ? -1 : 0, high = by < 0 ? size - 1 : size;
  SIGNUM_ASSIGN(const int64_t first, Bound(begin, size, low, high, by < 0 ? high : low));
  SIGNUM_ASSIGN(const int64_t last, Bound(end, size, low, high, by < 0 ? low : high));
  if (text != nullptr && by == 1) {
    SIGNUM_TRY(runtime.SpendOn(*text));
    const size_t from = OffsetOfCharacter(text->view(), static_cast<size_t>(first));
    const auto count = static_cast<size_t>(std::max<int64_t>(last - first, 0));
    const size_t to = from + OffsetOfCharacter(text->view().substr(from), count);
    return Value::Of(text->Part(from, to));
  }
  SIGNUM_ASSIGN(const auto items, Iterate(runtime, object));
  std::vector<Value> taken;
  for (int64_t at = first; by > 0 ? at < last : at > last;) {
    taken.push_back(items[static_cast<size_t>(at)]);
    if (__builtin_add_overflow(at, by, &at)) break;
  }
  if (text == nullptr) return MakeList(std::move(taken), object.list()->kind);
  Text out;
  for (const Value& each : taken) out.Append(*each.text());
  return Value::Of(std::move(out));
}

}  // namespace signum::client::jinja
