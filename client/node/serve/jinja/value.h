#pragma once

#include <cstdint>
#include <ctime>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "client/node/serve/jinja/text.h"
#include "storage/base/result.h"

// The values of a template: those of Python that Jinja programs meet.

namespace signum::client::jinja {

class Value;
class Loop;
struct Statement;

// What is not there; `what` says what, where it is used as if it were.
struct Undefined {
  std::shared_ptr<const std::string> what;
};
struct None {};

struct List {
  enum class Kind : uint8_t {
    kList,
    kTuple,
    kView,       // of a dict: has a length, but no elements to take out
    kGenerator,  // gone through once: `next` is what it gives next
  };
  std::vector<Value> items;
  Kind kind = Kind::kList;
  int depth = 1;  // of lists and dicts in one another
  mutable size_t next = 0;
};

struct Dict {
  std::vector<std::pair<Value, Value>> items;  // in the order of insertion
  int depth = 1;
};

// The only thing that a template can change. Owned by the Runtime, since it may hold itself.
struct Namespace;

// A method of a value, not yet called.
struct Method;

// One of the functions that every template has.
enum class Function : uint8_t { kRange, kDict, kNamespace, kRaiseException, kStrftimeNow };

class Value {
 public:
  using TextPtr = std::shared_ptr<const Text>;
  using ListPtr = std::shared_ptr<const List>;
  using DictPtr = std::shared_ptr<const Dict>;
  using Variant = std::variant<Undefined, None, bool, int64_t, double, TextPtr, ListPtr, DictPtr,
                               Namespace*, std::shared_ptr<Loop>, const Statement*, Function,
                               std::shared_ptr<const Method>>;

  Value() : data_(None()) {}
  Value(Variant data) : data_(std::move(data)) {}
  static Value Of(Text text) { return Variant(std::make_shared<const Text>(std::move(text))); }
  static Value Of(std::string text) { return Of(Text(std::move(text))); }
  static Value Bool(bool value) { return Variant(value); }
  static Value Integer(int64_t value) { return Variant(value); }
  static Value Integer(size_t value) { return Variant(static_cast<int64_t>(value)); }
  static Value Float(double value) { return Variant(value); }
  static Value Missing(std::string what) {
    return Variant(Undefined{std::make_shared<const std::string>(std::move(what))});
  }

  template <class T>
  const T* If() const {
    return std::get_if<T>(&data_);
  }
  bool undefined() const { return If<Undefined>() != nullptr; }
  bool none() const { return If<None>() != nullptr; }
  // Null where it is none.
  const Text* text() const {
    const TextPtr* at = If<TextPtr>();
    return at == nullptr ? nullptr : at->get();
  }
  const List* list() const {
    const ListPtr* at = If<ListPtr>();
    return at == nullptr ? nullptr : at->get();
  }
  const Dict* dict() const {
    const DictPtr* at = If<DictPtr>();
    return at == nullptr ? nullptr : at->get();
  }
  // A bool is an integer too.
  std::optional<int64_t> integer() const;
  std::optional<double> number() const;

  bool Truth() const;
  std::string TypeName() const;  // Python's, for messages
  int depth() const;             // 0 of what holds no others

 private:
  Variant data_;
};

struct Namespace {
  std::map<std::string, Value, std::less<>> attributes;
};

struct Method {
  Value object;
  std::string name;
};

// What one rendering has used up, and what it owns.
class Runtime {
 public:
  explicit Runtime(std::tm now) : now_(now) {}

  // Work is counted in evaluated nodes and list elements, and 64 bytes of text touched for one.
  Result<void> Spend(uint64_t work = 1);
  Result<void> SpendOn(const Text& text) {
    return Spend(1 + text.size() / 64 + text.tainted().size() / 8);
  }
  Value NewNamespace();
  const std::tm& now() const { return now_; }

 private:
  uint64_t left_ = 4'000'000;
  std::deque<Namespace> namespaces_;
  std::tm now_;
};

// Lists and dicts are made by these: how deep they lie in one another is bounded.
Result<Value> MakeList(std::vector<Value> items, List::Kind kind = List::Kind::kList);
Result<Value> MakeDict(std::vector<std::pair<Value, Value>> items);

// "chat_template_failed": the template could not be run on these messages.
Error RenderError(const std::string& what);

}  // namespace signum::client::jinja
