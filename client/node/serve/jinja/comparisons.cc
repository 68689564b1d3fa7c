#include <algorithm>

#include "client/node/serve/jinja/operators.h"
#include "client/node/serve/jinja/strings.h"

namespace signum::client::jinja {
namespace {

Result<bool> EqualItems(Runtime& runtime, const std::vector<Value>& a,
                        const std::vector<Value>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    SIGNUM_ASSIGN(const bool equal, Equal(runtime, a[i], b[i]));
    if (!equal) return false;
  }
  return true;
}

Result<bool> EqualDicts(Runtime& runtime, const Dict& a, const Dict& b) {
  if (a.items.size() != b.items.size()) return false;
  for (const auto& [key, value] : a.items) {
    SIGNUM_ASSIGN(const Value* other, Find(runtime, b, key));
    if (other == nullptr) return false;
    SIGNUM_ASSIGN(const bool equal, Equal(runtime, value, *other));
    if (!equal) return false;
  }
  return true;
}

template <class T>
bool Same(const Value& a, const Value& b) {
  return a.If<T>() != nullptr && b.If<T>() != nullptr && *a.If<T>() == *b.If<T>();
}

Result<bool> LessItems(Runtime& runtime, const std::vector<Value>& a, const std::vector<Value>& b) {
  for (size_t i = 0; i < a.size() && i < b.size(); ++i) {
    SIGNUM_ASSIGN(const bool equal, Equal(runtime, a[i], b[i]));
    if (!equal) return Less(runtime, a[i], b[i]);
  }
  return a.size() < b.size();
}

bool IsSequence(const List* list) {
  return list != nullptr && (list->kind == List::Kind::kList || list->kind == List::Kind::kTuple);
}

}  // namespace

Error BadOperand(const Value& value, const std::string& what) {
  if (const Undefined* undefined = value.If<Undefined>()) return RenderError(*undefined->what);
  return RenderError(what + " " + value.TypeName());
}

Result<bool> Equal(Runtime& runtime, const Value& a, const Value& b) {
  SIGNUM_TRY(runtime.Spend());
  if (a.undefined() || b.undefined()) return a.undefined() && b.undefined();
  if (a.none() || b.none()) return a.none() && b.none();
  if (a.integer() && b.integer()) return *a.integer() == *b.integer();
  if (a.number() && b.number()) return *a.number() == *b.number();
  if (a.text() != nullptr && b.text() != nullptr) {
    SIGNUM_TRY(runtime.SpendOn(*a.text()));
    return a.text()->bytes() == b.text()->bytes();
  }
  if (a.list() != nullptr && b.list() != nullptr) {
    if (a.list() == b.list()) return true;
    if (a.list()->kind != b.list()->kind || !IsSequence(a.list())) return false;
    return EqualItems(runtime, a.list()->items, b.list()->items);
  }
  if (a.dict() != nullptr && b.dict() != nullptr) return EqualDicts(runtime, *a.dict(), *b.dict());
  return Same<Namespace*>(a, b) || Same<const Statement*>(a, b) || Same<Function>(a, b) ||
         Same<std::shared_ptr<Loop>>(a, b);
}

Result<bool> Less(Runtime& runtime, const Value& a, const Value& b) {
  SIGNUM_TRY(runtime.Spend());
  if (a.undefined()) return BadOperand(a, "");
  if (a.integer() && b.integer()) return *a.integer() < *b.integer();
  if (a.number() && b.number()) return *a.number() < *b.number();
  if (a.text() != nullptr && b.text() != nullptr) {  // UTF-8 is in the order of its characters
    SIGNUM_TRY(runtime.SpendOn(*a.text()));
    return a.text()->bytes() < b.text()->bytes();
  }
  if (IsSequence(a.list()) && IsSequence(b.list()) && a.list()->kind == b.list()->kind) {
    return LessItems(runtime, a.list()->items, b.list()->items);
  }
  return BadOperand(b, "no order between " + a.TypeName() + " and");
}

Result<const Value*> Find(Runtime& runtime, const Dict& dict, const Value& key) {
  if (key.list() != nullptr || key.dict() != nullptr) {
    if (key.list() == nullptr || key.list()->kind != List::Kind::kTuple) {
      return BadOperand(key, "no key of a dict can be a");
    }
  }
  for (const auto& [other, value] : dict.items) {
    SIGNUM_ASSIGN(const bool equal, Equal(runtime, other, key));
    if (equal) return &value;
  }
  return static_cast<const Value*>(nullptr);
}

Result<bool> Contains(Runtime& runtime, const Value& container, const Value& item) {
  if (const Text* text = container.text()) {
    if (item.text() == nullptr) return BadOperand(item, "what is looked for in a text is a");
    SIGNUM_TRY(runtime.SpendOn(*text));
    return FindText(text->view(), item.text()->view()) != std::string::npos;
  }
  if (container.dict() != nullptr) {
    SIGNUM_ASSIGN(const Value* value, Find(runtime, *container.dict(), item));
    return value != nullptr;
  }
  if (container.list() == nullptr && !container.undefined()) {
    return BadOperand(container, "nothing can be looked for in a");
  }
  SIGNUM_ASSIGN(const auto items, Iterate(runtime, container));
  for (const Value& each : items) {
    SIGNUM_ASSIGN(const bool equal, Equal(runtime, each, item));
    if (equal) return true;
  }
  return false;
}

Result<bool> Compare(Runtime& runtime, Op op, const Value& a, const Value& b) {
  const bool swapped = op == Op::kGreater || op == Op::kLessEqual;
  switch (op) {
    case Op::kEqual:
      return Equal(runtime, a, b);
    case Op::kIn:
      return Contains(runtime, b, a);
    case Op::kUnequal: {
      SIGNUM_ASSIGN(const bool equal, Equal(runtime, a, b));
      return !equal;
    }
    case Op::kNotIn: {
      SIGNUM_ASSIGN(const bool in, Contains(runtime, b, a));
      return !in;
    }
    default:
      break;
  }
  SIGNUM_ASSIGN(const bool less, swapped ? Less(runtime, b, a) : Less(runtime, a, b));
  if (op == Op::kLess || op == Op::kGreater || less) {
    const bool strict = op == Op::kLess || op == Op::kGreater;
    return strict ? less : !less;
  }
  // Not less; NaN is neither less nor equal nor greater.
  const bool ordered =
      !(a.number() && b.number()) || (*a.number() == *a.number() && *b.number() == *b.number());
  return ordered;
}

}  // namespace signum::client::jinja
