#pragma once

#include <optional>
#include <vector>

#include "client/node/serve/jinja/ast.h"
#include "client/node/serve/jinja/value.h"

// What Python's operators do with values. Errors are "chat_template_failed".

namespace signum::client::jinja {

Result<bool> Equal(Runtime& runtime, const Value& a, const Value& b);
// a < b, of numbers, texts and lists.
Result<bool> Less(Runtime& runtime, const Value& a, const Value& b);
Result<bool> Contains(Runtime& runtime, const Value& container, const Value& item);
Result<bool> Compare(Runtime& runtime, Op op, const Value& a, const Value& b);

Result<Value> Arithmetic(Runtime& runtime, Op op, const Value& a, const Value& b);
Result<Value> Negative(const Value& value);

// The items that a for loop goes through. A generator has none after that.
Result<std::vector<Value>> Iterate(Runtime& runtime, const Value& value);
// len(value); nothing where it has none.
std::optional<size_t> Length(const Value& value);

// The value of a key in a dict; null where there is none.
Result<const Value*> Find(Runtime& runtime, const Dict& dict, const Value& key);

// object.name, object[key] and object[begin:end:step] as Jinja looks them up; undefined where there
// is no such thing.
Result<Value> Attribute(Runtime& runtime, const Value& object, const std::string& name);
Result<Value> Subscript(Runtime& runtime, const Value& object, const Value& key);
Result<Value> Slice(Runtime& runtime, const Value& object, const Value& begin, const Value& end,
                    const Value& step);

// An error that says that `value` is undefined, or else `what` with its type.
Error BadOperand(const Value& value, const std::string& what);

}  // namespace signum::client::jinja
