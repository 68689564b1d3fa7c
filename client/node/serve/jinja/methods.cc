// Methods of str, dict, list and loops.

#include <algorithm>

#include "client/node/serve/jinja/builtins.h"
#include "client/node/serve/jinja/characters.h"
#include "client/node/serve/jinja/loop.h"
#include "client/node/serve/jinja/operators.h"
#include "client/node/serve/jinja/print.h"
#include "client/node/serve/jinja/strings.h"

namespace signum::client::jinja {
namespace {

// Python's, whether they are supported here or not: `x.name is defined` depends on it.
constexpr std::string_view kTextMethods[] = {
    "capitalize",   "casefold",    "center",    "count",      "encode",       "endswith",
    "expandtabs",   "find",        "format",    "format_map", "index",        "isalnum",
    "isalpha",      "isascii",     "isdecimal", "isdigit",    "isidentifier", "islower",
    "isnumeric",    "isprintable", "isspace",   "istitle",    "isupper",      "join",
    "ljust",        "lower",       "lstrip",    "maketrans",  "partition",    "removeprefix",
    "removesuffix", "replace",     "rfind",     "rindex",     "rjust",        "rpartition",
    "rsplit",       "rstrip",      "split",     "splitlines", "startswith",   "strip",
    "swapcase",     "title",       "translate", "upper",      "zfill"};
constexpr std::string_view kDictMethods[] = {"clear",      "copy",   "fromkeys", "get",
                                             "items",      "keys",   "pop",      "popitem",
                                             "setdefault", "update", "values"};
constexpr std::string_view kListMethods[] = {"append", "clear",   "copy",   "count",
                                             "extend", "index",   "insert", "pop",
                                             "remove", "reverse", "sort"};
// What the sandbox refuses: they change what they are called on.
constexpr std::string_view kMutators[] = {"append",     "clear",   "extend", "insert",
                                          "pop",        "popitem", "remove", "reverse",
                                          "setdefault", "sort",    "update"};
constexpr std::string_view kSupported[] = {
    "capitalize",   "count",      "endswith", "find",       "format", "index",     "islower",
    "isspace",      "isupper",    "join",     "lower",      "lstrip", "partition", "removeprefix",
    "removesuffix", "replace",    "rfind",    "rpartition", "rsplit", "rstrip",    "split",
    "splitlines",   "startswith", "strip",    "title",      "upper",  "get",       "items",
    "keys",         "values",     "copy",     "cycle"};

template <size_t n>
bool Holds(const std::string_view (&names)[n], std::string_view name) {
  return std::ranges::find(names, name) != std::end(names);
}

using Given = std::vector<std::optional<Value>>;

// An argument that must be text; null where it is left out or None.
Result<const Text*> TextIn(const std::optional<Value>& value) {
  if (!value || value->none()) return static_cast<const Text*>(nullptr);
  if (value->text() == nullptr) return BadOperand(*value, "a method of str is given a");
  return value->text();
}

Result<const Text*> TextOf(const std::optional<Value>& value) {
  SIGNUM_ASSIGN(const Text* text, TextIn(value));
  if (text == nullptr) return RenderError("a method of str is not given the text that it needs");
  return text;
}

Result<int64_t> IntegerIn(const std::optional<Value>& value, int64_t otherwise) {
  if (!value) return otherwise;
  if (!value->integer()) return BadOperand(*value, "a method of str is given a");
  return *value->integer();
}

// startswith and endswith, of one text or a tuple of them.
Result<Value> BeginsOrEnds(const Text& text, bool begins, const Arguments& arguments) {
  SIGNUM_ASSIGN(const Given given, arguments.Bind("startswith", {"prefix"}));
  if (!given[0]) return RenderError("'startswith' without a text");
  const List* list = given[0]->list();
  const bool tuple = list != nullptr && list->kind == List::Kind::kTuple;
  for (const Value& each : tuple ? list->items : std::vector<Value>{*given[0]}) {
    SIGNUM_ASSIGN(const Text* part, TextOf(each));
    const bool holds =
        begins ? text.view().starts_with(part->view()) : text.view().ends_with(part->view());
    if (holds) return Value::Bool(true);
  }
  return Value::Bool(false);
}

Result<Value> SplitBy(Runtime& runtime, const Text& text, bool right, const Arguments& arguments) {
  SIGNUM_ASSIGN(const Given given, arguments.Bind("split", {"sep", "maxsplit"}));
  SIGNUM_ASSIGN(const Text* separator, TextIn(given[0]));
  SIGNUM_ASSIGN(const int64_t limit, IntegerIn(given[1], -1));
  if (separator != nullptr && separator->empty()) return RenderError("'split' at an empty text");
  const size_t width = separator == nullptr || !right ? 1 : separator->size();
  SIGNUM_TRY(runtime.Spend(1 + text.size() / 64 * width));
  SIGNUM_TRY(SpendOnParts(runtime, text, separator));
  return MakeList(right ? SplitRight(text, separator, limit) : Split(text, separator, limit));
}

Result<Value> StripBy(Runtime& runtime, const Text& text, Side side, const Arguments& arguments) {
  SIGNUM_ASSIGN(const Given given, arguments.Bind("strip", {"chars"}));
  SIGNUM_ASSIGN(const Text* characters, TextIn(given[0]));
  const size_t width = characters == nullptr ? 1 : characters->size();
  SIGNUM_TRY(runtime.Spend(1 + text.size() / 64 * (1 + width / 8)));
  return Value::Of(Strip(text, side, characters));
}

// find, rfind, index: a place counted in characters.
Result<Value> FindIn(Runtime& runtime, const Text& text, std::string_view name,
                     const Arguments& arguments) {
  SIGNUM_ASSIGN(const Given given, arguments.Bind(name, {"sub"}));
  SIGNUM_ASSIGN(const Text* what, TextOf(given[0]));
  SIGNUM_TRY(runtime.Spend(1 + text.size() / 64 * (name == "rfind" ? what->size() : 1)));
  const size_t at =
      name == "rfind" ? text.view().rfind(what->view()) : FindText(text.view(), what->view());
  if (at != std::string_view::npos) {
    return Value::Integer(CountCharacters(text.view().substr(0, at)));
  }
  if (name == "index") return RenderError("'index' of a text that is not there");
  return Value::Integer(int64_t{-1});
}

Result<Value> CountIn(Runtime& runtime, const Text& text, const Arguments& arguments) {
  SIGNUM_ASSIGN(const Given given, arguments.Bind("count", {"sub"}));
  SIGNUM_ASSIGN(const Text* what, TextOf(given[0]));
  SIGNUM_TRY(runtime.SpendOn(text));
  if (what->empty()) return Value::Integer(CountCharacters(text.view()) + 1);
  size_t n = 0;
  for (size_t at = FindText(text.view(), what->view()); at != std::string_view::npos;
       at = FindText(text.view(), what->view(), at + what->size())) {
    ++n;
  }
  return Value::Integer(n);
}

Result<Value> Partition(Runtime& runtime, const Text& text, bool right,
                        const Arguments& arguments) {
  SIGNUM_ASSIGN(const Given given, arguments.Bind("partition", {"sep"}));
  SIGNUM_ASSIGN(const Text* what, TextOf(given[0]));
  if (what->empty()) return RenderError("'partition' at an empty text");
  SIGNUM_TRY(runtime.Spend(1 + text.size() / 64 * (right ? what->size() : 1)));
  const size_t at = right ? text.view().rfind(what->view()) : FindText(text.view(), what->view());
  Text before = text, between, after;
  if (at != std::string_view::npos) {
    before = text.Part(0, at);
    between = text.Part(at, at + what->size());
    after = text.Part(at + what->size(), text.size());
  } else if (right) {
    std::swap(before, after);
  }
  return MakeList({Value::Of(before), Value::Of(between), Value::Of(after)}, List::Kind::kTuple);
}

Result<Value> ReplaceIn(Runtime& runtime, const Text& text, const Arguments& arguments) {
  SIGNUM_ASSIGN(const Given given, arguments.Bind("replace", {"old", "new", "count"}));
  SIGNUM_ASSIGN(const Text* what, TextOf(given[0]));
  SIGNUM_ASSIGN(const Text* by, TextOf(given[1]));
  SIGNUM_ASSIGN(const int64_t limit, IntegerIn(given[2], -1));
  SIGNUM_ASSIGN(Text out, Replace(runtime, text, *what, *by, limit));
  return Value::Of(std::move(out));
}

Result<Value> Remove(const Text& text, bool prefix, const Arguments& arguments) {
  SIGNUM_ASSIGN(const Given given, arguments.Bind("removeprefix", {"prefix"}));
  SIGNUM_ASSIGN(const Text* what, TextOf(given[0]));
  const bool holds =
      prefix ? text.view().starts_with(what->view()) : text.view().ends_with(what->view());
  if (!holds) return Value::Of(text);
  const size_t rest = text.size() - what->size();
  return Value::Of(prefix ? text.Part(what->size(), text.size()) : text.Part(0, rest));
}

Result<Value> JoinWith(Runtime& runtime, const Text& text, const Arguments& arguments) {
  SIGNUM_ASSIGN(const Given given, arguments.Bind("join", {"iterable"}));
  if (!given[0]) return RenderError("'join' without a list");
  SIGNUM_ASSIGN(const auto items, Iterate(runtime, *given[0]));
  Text out;
  for (const Value& item : items) {
    SIGNUM_ASSIGN(const Text* part, TextOf(item));
    SIGNUM_TRY(runtime.Spend(1 + (part->size() + text.size()) / 64));
    if (&item != &items[0]) out.Append(text);
    out.Append(*part);
  }
  return Value::Of(std::move(out));
}

Result<Value> Lines(Runtime& runtime, const Text& text, const Arguments& arguments) {
  SIGNUM_ASSIGN(const Given given, arguments.Bind("splitlines", {"keepends"}));
  SIGNUM_TRY(SpendOnParts(runtime, text, nullptr));
  return MakeList(SplitLines(text, given[0] && given[0]->Truth()));
}

Result<Value> Case(const Text& text, std::string_view name) {
  if (name == "lower") return Value::Of(LowerCase(text));
  if (name == "upper") return Value::Of(UpperCase(text));
  return Value::Of(name == "title" ? TitleCase(text) : Capitalized(text));
}

Result<Value> Has(Runtime& runtime, const Text& text, std::string_view name) {
  if (name != "isspace") {
    SIGNUM_ASSIGN(const bool cased,
                  CallTest(runtime, name.substr(2), Value::Of(text), Arguments()));
    return Value::Bool(cased);
  }
  return Value::Bool(!text.empty() && Strip(text, Side::kBoth, nullptr).empty());
}

Result<Value> OfText(Runtime& runtime, const Text& text, std::string_view name,
                     const Arguments& arguments) {
  SIGNUM_TRY(runtime.SpendOn(text));
  if (name == "strip") return StripBy(runtime, text, Side::kBoth, arguments);
  if (name == "lstrip") return StripBy(runtime, text, Side::kLeft, arguments);
  if (name == "rstrip") return StripBy(runtime, text, Side::kRight, arguments);
  if (name == "split") return SplitBy(runtime, text, false, arguments);
  if (name == "rsplit") return SplitBy(runtime, text, true, arguments);
  if (name == "startswith") return BeginsOrEnds(text, true, arguments);
  if (name == "endswith") return BeginsOrEnds(text, false, arguments);
  if (name == "find" || name == "rfind" || name == "index") {
    return FindIn(runtime, text, name, arguments);
  }
  if (name == "count") return CountIn(runtime, text, arguments);
  if (name == "partition") return Partition(runtime, text, false, arguments);
  if (name == "rpartition") return Partition(runtime, text, true, arguments);
  if (name == "replace") return ReplaceIn(runtime, text, arguments);
  if (name == "removeprefix") return Remove(text, true, arguments);
  if (name == "removesuffix") return Remove(text, false, arguments);
  if (name == "join") return JoinWith(runtime, text, arguments);
  if (name == "splitlines") return Lines(runtime, text, arguments);
  if (name == "format") return FormatBraces(runtime, text, arguments.values, arguments.named);
  SIGNUM_TRY(arguments.Bind(name, {}));
  SIGNUM_TRY(runtime.Spend(text.size() / 16));
  if (name.starts_with("is")) return Has(runtime, text, name);
  return Case(text, name);
}

Result<Value> OfDict(Runtime& runtime, const Dict& dict, std::string_view name,
                     const Arguments& arguments) {
  if (name == "get") {
    SIGNUM_ASSIGN(const Given given, arguments.Bind("get", {"key", "default"}));
    if (!given[0]) return RenderError("'get' without a key");
    SIGNUM_ASSIGN(const Value* value, Find(runtime, dict, *given[0]));
    return value != nullptr ? *value : given[1].value_or(Value());
  }
  SIGNUM_TRY(arguments.Bind(name, {}));
  SIGNUM_TRY(runtime.Spend(1 + dict.items.size()));
  if (name == "copy") return MakeDict(dict.items);
  std::vector<Value> out;
  for (const auto& [key, value] : dict.items) {
    if (name == "items") {
      SIGNUM_ASSIGN(Value pair, MakeList({key, value}, List::Kind::kTuple));
      out.push_back(std::move(pair));
    } else {
      out.push_back(name == "keys" ? key : value);
    }
  }
  return MakeList(std::move(out), List::Kind::kView);
}

Result<Value> OfList(Runtime& runtime, const List& list, std::string_view name,
                     const Arguments& arguments) {
  if (name == "copy") {
    SIGNUM_TRY(arguments.Bind(name, {}));
    SIGNUM_TRY(runtime.Spend(1 + list.items.size()));
    return MakeList(list.items, list.kind);
  }
  SIGNUM_ASSIGN(const Given given, arguments.Bind(name, {"value"}));
  if (!given[0]) return RenderError("'" + std::string(name) + "' without a value");
  int64_t n = 0;
  for (size_t i = 0; i < list.items.size(); ++i) {
    SIGNUM_ASSIGN(const bool equal, Equal(runtime, list.items[i], *given[0]));
    if (equal && name == "index") return Value::Integer(i);
    n += equal ? 1 : 0;
  }
  if (name == "index") return RenderError("'index' of what is not in the list");
  return Value::Integer(n);
}

}  // namespace

bool IsMethod(std::string_view name) { return Holds(kSupported, name) || Holds(kMutators, name); }

bool HasMethod(const Value& object, std::string_view name) {
  if (object.text() != nullptr) return Holds(kTextMethods, name);
  if (object.dict() != nullptr) return Holds(kDictMethods, name);
  if (const List* list = object.list()) {
    if (list->kind == List::Kind::kList) return Holds(kListMethods, name);
    return list->kind == List::Kind::kTuple && (name == "count" || name == "index");
  }
  return object.If<std::shared_ptr<Loop>>() != nullptr && name == "cycle";
}

Result<Value> CallMethod(Runtime& runtime, const Method& method, const Arguments& arguments) {
  const std::string& name = method.name;
  const Value& object = method.object;
  if (object.text() == nullptr && Holds(kMutators, name)) {
    return RenderError("'" + name + "' would change a " + object.TypeName() +
                       ", which a template may not");
  }
  if (!Holds(kSupported, name)) return RenderError("the method '" + name + "' is not supported");
  if (const auto* loop = object.If<std::shared_ptr<Loop>>()) {
    if (arguments.values.empty()) return RenderError("'cycle' without items");
    return arguments.values[(*loop)->index0() % arguments.values.size()];
  }
  static constexpr std::string_view kTakeNames[] = {"split", "rsplit", "splitlines", "format"};
  if (!arguments.named.empty() && !Holds(kTakeNames, name)) {
    return RenderError("the method '" + name + "' takes no arguments by name");
  }
  if (object.dict() != nullptr) return OfDict(runtime, *object.dict(), name, arguments);
  if (object.list() != nullptr) return OfList(runtime, *object.list(), name, arguments);
  if (object.text()->markup) {
    return RenderError("methods of text made by 'safe' or 'escape' are not supported");
  }
  return OfText(runtime, *object.text(), name, arguments);
}

}  // namespace signum::client::jinja
