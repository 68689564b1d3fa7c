#include <algorithm>
#include <charconv>

#include "client/node/serve/jinja/filters.h"
#include "client/node/serve/jinja/operators.h"
#include "client/node/serve/jinja/print.h"
#include "client/node/serve/jinja/strings.h"

namespace signum::client::jinja {
namespace {

Result<Value> Default(Runtime&, const Value& input, const Arguments& arguments) {
  SIGNUM_ASSIGN(const auto given, arguments.Bind("default", {"default_value", "boolean"}));
  const bool any = given[1] && given[1]->Truth();
  if (!input.undefined() && !(any && !input.Truth())) return input;
  return given[0].value_or(Value::Of(std::string()));
}

Result<Value> LengthOf(Runtime&, const Value& input, const Arguments& arguments) {
  SIGNUM_TRY(arguments.Bind("length", {}));
  const auto length = Length(input);
  if (!length) return BadOperand(input, "no length of a");
  return Value::Integer(*length);
}

Result<Value> ListOf(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SIGNUM_TRY(arguments.Bind("list", {}));
  SIGNUM_ASSIGN(auto items, Iterate(runtime, input));
  return MakeList(std::move(items));
}

// A generator goes one further; nothing else changes.
Result<Value> First(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SIGNUM_TRY(arguments.Bind("first", {}));
  const List* list = input.list();
  if (list != nullptr && list->kind == List::Kind::kGenerator && list->next < list->items.size()) {
    return list->items[list->next++];
  }
  SIGNUM_ASSIGN(const auto items, Iterate(runtime, input));
  return items.empty() ? Value::Missing("no first item, the sequence is empty") : items.front();
}

Result<Value> Last(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SIGNUM_TRY(arguments.Bind("last", {}));
  if (!Length(input)) return BadOperand(input, "no last item of a");
  SIGNUM_ASSIGN(const auto items, Iterate(runtime, input));
  return items.empty() ? Value::Missing("no last item, the sequence is empty") : items.back();
}

Result<Value> Reverse(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SIGNUM_TRY(arguments.Bind("reverse", {}));
  SIGNUM_ASSIGN(auto items, Iterate(runtime, input));
  std::ranges::reverse(items);
  if (input.text() == nullptr) {
    const bool generator = input.list() != nullptr && input.list()->kind == List::Kind::kGenerator;
    return MakeList(std::move(items), generator ? List::Kind::kList : List::Kind::kGenerator);
  }
  Text out;
  for (const Value& each : items) out.Append(*each.text());
  return Value::Of(std::move(out));
}

Result<Value> ItemsOf(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SIGNUM_TRY(arguments.Bind("items", {}));
  if (input.undefined()) return MakeList({}, List::Kind::kGenerator);
  if (input.dict() == nullptr) return BadOperand(input, "no items of a");
  SIGNUM_ASSIGN(const Value view, CallMethod(runtime, {input, "items"}, {}));
  return MakeList(view.list()->items, List::Kind::kGenerator);
}

Result<Value> Join(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SIGNUM_ASSIGN(const auto given, arguments.Bind("join", {"d", "attribute"}));
  SIGNUM_ASSIGN(const Text between, given[0] ? Print(runtime, *given[0]) : Result<Text>(Text()));
  SIGNUM_ASSIGN(const auto items, Iterate(runtime, input));
  Text out;
  for (size_t i = 0; i < items.size(); ++i) {
    const bool plain = !given[1] || given[1]->none();
    SIGNUM_ASSIGN(const Value item,
                  plain ? Result<Value>(items[i]) : AttributeOf(runtime, items[i], *given[1]));
    SIGNUM_ASSIGN(const Text part, Print(runtime, item));
    SIGNUM_TRY(runtime.SpendOn(between));
    if (i > 0) out.Append(between);
    out.Append(part);
  }
  return Value::Of(std::move(out));
}

// How items are ordered and told apart: by an attribute, and without regard to case.
class Key {
 public:
  Key(bool case_sensitive, const std::optional<Value>& attribute)
      : case_sensitive_(case_sensitive), attribute_(attribute.value_or(Value())) {}

  Result<Value> Of(Runtime& runtime, const Value& item) const {
    Value key = item;
    if (!attribute_.none()) {
      SIGNUM_ASSIGN(key, AttributeOf(runtime, item, attribute_));
    }
    if (case_sensitive_ || key.text() == nullptr) return key;
    SIGNUM_TRY(runtime.SpendOn(*key.text()));
    return Value::Of(LowerCase(*key.text()));
  }

 private:
  bool case_sensitive_;
  Value attribute_;
};

using Keyed = std::pair<Value, Value>;  // a key and its item

Result<std::vector<Keyed>> KeyedItems(Runtime& runtime, const Value& input, const Key& key) {
  SIGNUM_ASSIGN(const auto items, Iterate(runtime, input));
  std::vector<Keyed> out;
  for (const Value& item : items) {
    SIGNUM_ASSIGN(Value its, key.Of(runtime, item));
    out.emplace_back(std::move(its), item);
  }
  return out;
}

// Stable; an error where two keys have no order.
Result<void> SortByKey(Runtime& runtime, std::vector<Keyed>& items, bool reverse) {
  Result<void> failed;
  std::ranges::stable_sort(items, [&](const Keyed& a, const Keyed& b) {
    if (failed.has_error()) return false;
    const Result<bool> less =
        reverse ? Less(runtime, b.first, a.first) : Less(runtime, a.first, b.first);
    if (less.has_error()) failed = less.error();
    return less.has_value() && *less;
  });
  return failed;
}

std::vector<Value> ItemsAlone(std::vector<Keyed> keyed) {
  std::vector<Value> out;
  out.reserve(keyed.size());
  for (auto& [key, item] : keyed) out.push_back(std::move(item));
  return out;
}

bool Flag(const std::optional<Value>& given) { return given && given->Truth(); }

Result<Value> Sort(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SIGNUM_ASSIGN(const auto given,
                arguments.Bind("sort", {"reverse", "case_sensitive", "attribute"}));
  // Several attributes, and one too, are compared as a list: so what has no order may be equal.
  const Text comma(",");
  std::vector<Value> attributes{given[2].value_or(Value())};
  if (attributes[0].text() != nullptr) {
    SIGNUM_TRY(SpendOnParts(runtime, *attributes[0].text(), &comma));
    attributes = Split(*attributes[0].text(), &comma, -1);
  }
  SIGNUM_ASSIGN(const auto input_items, Iterate(runtime, input));
  std::vector<Keyed> items;
  for (const Value& item : input_items) {
    std::vector<Value> keys;
    for (const Value& attribute : attributes) {
      SIGNUM_ASSIGN(Value key, Key(Flag(given[1]), attribute).Of(runtime, item));
      keys.push_back(std::move(key));
    }
    SIGNUM_ASSIGN(Value key, MakeList(std::move(keys)));
    items.emplace_back(std::move(key), item);
  }
  SIGNUM_TRY(SortByKey(runtime, items, Flag(given[0])));
  return MakeList(ItemsAlone(std::move(items)));
}

Result<Value> DictSort(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SIGNUM_ASSIGN(const auto given, arguments.Bind("dictsort", {"case_sensitive", "by", "reverse"}));
  const Text* by = given[1] ? given[1]->text() : nullptr;
  if (input.dict() == nullptr) return BadOperand(input, "'dictsort' of a");
  if (given[1] && (by == nullptr || (by->bytes() != "key" && by->bytes() != "value"))) {
    return RenderError("'dictsort' by neither key nor value");
  }
  SIGNUM_ASSIGN(const Value pairs, CallMethod(runtime, {input, "items"}, {}));
  const Value at = Value::Integer(int64_t{by != nullptr && by->bytes() == "value" ? 1 : 0});
  SIGNUM_ASSIGN(auto items, KeyedItems(runtime, pairs, Key(Flag(given[0]), at)));
  SIGNUM_TRY(SortByKey(runtime, items, Flag(given[2])));
  return MakeList(ItemsAlone(std::move(items)));
}

Result<Value> Unique(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SIGNUM_ASSIGN(const auto given, arguments.Bind("unique", {"case_sensitive", "attribute"}));
  SIGNUM_ASSIGN(const auto items, KeyedItems(runtime, input, Key(Flag(given[0]), given[1])));
  std::vector<Value> keys, out;
  for (const auto& [key, item] : items) {
    bool known = false;
    for (size_t i = 0; i < keys.size() && !known; ++i) {
      SIGNUM_ASSIGN(known, Equal(runtime, keys[i], key));
    }
    if (known) continue;
    keys.push_back(key);
    out.push_back(item);
  }
  return MakeList(std::move(out), List::Kind::kGenerator);
}

template <bool largest>
Result<Value> Extreme(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SIGNUM_ASSIGN(const auto given, arguments.Bind("max", {"case_sensitive", "attribute"}));
  SIGNUM_ASSIGN(const auto items, KeyedItems(runtime, input, Key(Flag(given[0]), given[1])));
  if (items.empty()) return Value::Missing("no largest or smallest item, the sequence is empty");
  const Keyed* best = &items[0];
  for (const Keyed& each : items) {
    SIGNUM_ASSIGN(const bool better, largest ? Less(runtime, best->first, each.first)
                                             : Less(runtime, each.first, best->first));
    if (better) best = &each;
  }
  return best->second;
}

Result<Value> Map(Runtime& runtime, const Value& input, const Arguments& arguments) {
  Arguments rest = arguments;
  std::optional<Value> attribute, otherwise;
  if (rest.values.empty()) {
    SIGNUM_ASSIGN(const auto given, arguments.Bind("map", {"attribute", "default"}));
    attribute = given[0];
    otherwise = given[1];
    if (!attribute) return RenderError("'map' without a filter or an attribute");
  }
  std::string name;
  if (!attribute) {
    if (rest.values[0].text() == nullptr) return BadOperand(rest.values[0], "a filter's name is a");
    name = rest.values[0].text()->bytes();
    rest.values.erase(rest.values.begin());
  }
  std::vector<Value> out;
  if (input.none()) return MakeList({}, List::Kind::kGenerator);
  SIGNUM_ASSIGN(const auto items, Iterate(runtime, input));
  for (const Value& item : items) {
    SIGNUM_ASSIGN(Value mapped,
                  attribute ? AttributeOf(runtime, item, *attribute,
                                          otherwise && !otherwise->none() ? &*otherwise : nullptr)
                            : CallFilter(runtime, name, item, rest));
    out.push_back(std::move(mapped));
  }
  return MakeList(std::move(out), List::Kind::kGenerator);
}

// select, reject, selectattr, rejectattr.
template <bool keep, bool by_attribute>
Result<Value> Select(Runtime& runtime, const Value& input, const Arguments& arguments) {
  Arguments rest = arguments;
  const auto take = [&]() -> std::optional<Value> {
    if (rest.values.empty()) return std::nullopt;
    std::optional<Value> first = rest.values.front();
    rest.values.erase(rest.values.begin());
    return first;
  };
  const auto attribute = by_attribute ? take() : std::nullopt;
  if (by_attribute && !attribute) return RenderError("'selectattr' without an attribute");
  const auto test = take();
  if (test && test->text() == nullptr) return BadOperand(*test, "a test's name is a");
  std::vector<Value> out;
  if (!input.Truth()) return MakeList({}, List::Kind::kGenerator);
  SIGNUM_ASSIGN(const auto items, Iterate(runtime, input));
  for (const Value& item : items) {
    Value value = item;
    if (attribute) {
      SIGNUM_ASSIGN(value, AttributeOf(runtime, item, *attribute));
    }
    bool holds = value.Truth();
    if (test) {
      SIGNUM_ASSIGN(holds, CallTest(runtime, test->text()->view(), value, rest));
    }
    if (holds == keep) out.push_back(item);
  }
  return MakeList(std::move(out), List::Kind::kGenerator);
}

constexpr FilterRow kFilters[] = {
    {"count", LengthOf},
    {"d", Default},
    {"default", Default},
    {"dictsort", DictSort},
    {"first", First},
    {"items", ItemsOf},
    {"join", Join},
    {"last", Last},
    {"length", LengthOf},
    {"list", ListOf},
    {"map", Map},
    {"max", Extreme<true>},
    {"min", Extreme<false>},
    {"reject", Select<false, false>},
    {"rejectattr", Select<false, true>},
    {"reverse", Reverse},
    {"select", Select<true, false>},
    {"selectattr", Select<true, true>},
    {"sort", Sort},
    {"unique", Unique},
};

}  // namespace

std::span<const FilterRow> ListFilters() { return kFilters; }

Result<Value> AttributeOf(Runtime& runtime, Value item, const Value& attribute,
                          const Value* otherwise) {
  std::vector<Value> parts{attribute};
  if (attribute.text() != nullptr) {
    const Text dot(".");
    SIGNUM_TRY(SpendOnParts(runtime, *attribute.text(), &dot));
    parts = Split(*attribute.text(), &dot, -1);
  }
  for (Value& part : parts) {
    const std::string digits = part.text() != nullptr ? part.text()->bytes() : "";
    int64_t index = 0;
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), index);
    if (!digits.empty() && digits[0] != '-' && parsed.ptr == digits.data() + digits.size() &&
        parsed.ec == std::errc()) {
      part = Value::Integer(index);
    }
    SIGNUM_ASSIGN(item, Subscript(runtime, item, part));
    if (item.undefined() && otherwise != nullptr) item = *otherwise;
  }
  return item;
}

}  // namespace signum::client::jinja
