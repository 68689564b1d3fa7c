#pragma once

#include <memory>
#include <string>
#include <vector>

#include "client/node/serve/jinja/value.h"

// A template as the parser leaves it. How deep nodes lie in one another is bounded.

namespace signum::client::jinja {

enum class Op : uint8_t {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
  kEqual,
  kUnequal,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kNotIn,
};

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

// A named argument; of the name "*" or "**" what is unpacked into several.
struct Keyword {
  std::string name;
  ExprPtr value;
};

struct Expr {
  enum class Kind : uint8_t {
    kConst,      // value
    kName,       // name
    kTuple,      // parts
    kList,       // parts
    kDict,       // parts: key, value, key, value …
    kAttribute,  // parts[0].name
    kSubscript,  // parts[0][parts[1]]
    kSlice,      // parts[0][parts[1]:parts[2]:parts[3]], null where left out
    kCall,       // parts[0](parts[1] …, keywords)
    kFilter,     // parts[0] | name(parts[1] …, keywords)
    kTest,       // parts[0] is name(parts[1] …, keywords)
    kNot,        // parts[0]
    kMinus,      // parts[0]
    kPlus,       // parts[0]
    kAnd,        // parts[0], parts[1]
    kOr,         // parts[0], parts[1]
    kCompare,    // parts[0] ops[0] parts[1] ops[1] parts[2] …
    kBinary,     // parts[0] ops[0] parts[1]
    kConcat,     // parts, joined by ~
    kCondition,  // parts[0] if parts[1] else parts[2], which may be null
  };

  Kind kind = Kind::kConst;
  int line = 1;
  int depth = 1;
  std::string name;
  Value value;
  std::vector<ExprPtr> parts;
  std::vector<Keyword> keywords;
  std::vector<Op> ops;
};

// What is assigned to: a name, an attribute of a namespace, or several of these.
struct Target {
  std::string name;
  std::string attribute;
  std::vector<Target> parts;
};

struct Statement;
using Body = std::vector<Statement>;

struct Branch {
  ExprPtr condition;
  Body body;
};

struct Parameter {
  std::string name;
  ExprPtr otherwise;  // null: it has no default
};

struct Statement {
  enum class Kind : uint8_t {
    kText,      // value
    kOutput,    // expr
    kIf,        // branches, otherwise
    kFor,       // target in expr if condition: body, else otherwise
    kSet,       // target = expr
    kSetBlock,  // target = body through expr, a filter of the name "" (or null)
    kFilter,    // body through expr
    kScope,     // body, in a scope of its own
    kMacro,     // target.name(parameters): body
    kBreak,
    kContinue,
  };

  Kind kind = Kind::kText;
  int line = 1;
  Value value;
  Target target;
  ExprPtr expr;
  ExprPtr condition;
  Body body;
  Body otherwise;
  std::vector<Branch> branches;
  std::vector<Parameter> parameters;
};

}  // namespace signum::client::jinja
