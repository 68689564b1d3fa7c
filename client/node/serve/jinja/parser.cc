#include "client/node/serve/jinja/parser.h"

#include <algorithm>

#include "client/node/serve/jinja/expression_parser.h"

namespace signum::client::jinja {
namespace {

using Kind = Statement::Kind;

constexpr size_t kMaxTemplate = 1 << 20;
constexpr int kMaxNesting = 40;
constexpr size_t kMaxParameters = 255;

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens)
      : tokens_(std::move(tokens)), expressions_(tokens_, names_) {}

  Result<Body> Run() {
    std::string end;
    return Until({}, end);
  }

 private:
  // Statements up to a tag of one of these names, whose name is taken; up to the end for none.
  Result<Body> Until(std::initializer_list<std::string_view> ends, std::string& end) {
    if (++nesting_ > kMaxNesting) return tokens_.Failed("blocks too deep in one another");
    Body body;
    while (tokens_.Now().kind != Token::Kind::kEnd) {
      const Token::Kind kind = tokens_.Now().kind;
      const int line = tokens_.Now().line;
      if (kind == Token::Kind::kBlockBegin) {
        tokens_.Take();
        const bool named = tokens_.Now().kind == Token::Kind::kName;
        if (named && std::ranges::find(ends, tokens_.Now().text) != ends.end()) {
          end = tokens_.Take().text;
          --nesting_;
          return body;
        }
        SIGNUM_ASSIGN(Statement statement, Tag());
        body.push_back(std::move(statement));
        SIGNUM_TRY(tokens_.Expect(Token::Kind::kBlockEnd));
        continue;
      }
      Statement& statement = body.emplace_back();
      statement.line = line;
      const Token& token = tokens_.Take();
      if (kind == Token::Kind::kData) {
        statement.value = Value::Of(token.text);
        continue;
      }
      statement.kind = Kind::kOutput;
      SIGNUM_ASSIGN(statement.expr, expressions_.ExpressionOrTuple());
      SIGNUM_TRY(tokens_.Expect(Token::Kind::kVariableEnd));
    }
    --nesting_;
    if (ends.size() > 0) return tokens_.Unexpected();
    return body;
  }

  // The end of a tag, and what follows up to one of these.
  Result<Body> Block(std::initializer_list<std::string_view> ends, std::string& end) {
    tokens_.TakeOperator(":");
    SIGNUM_TRY(tokens_.Expect(Token::Kind::kBlockEnd));
    return Until(ends, end);
  }
  Result<Body> Block(std::string_view end) {
    std::string which;
    return Block({end}, which);
  }

  Result<Statement> Tag() {
    Statement statement;
    statement.line = tokens_.Now().line;
    SIGNUM_ASSIGN(const std::string name, tokens_.ExpectName());
    Result<void> parsed;
    if (name == "if") {
      parsed = If(statement);
    } else if (name == "for") {
      parsed = For(statement);
    } else if (name == "set") {
      parsed = Set(statement);
    } else if (name == "macro") {
      parsed = Macro(statement);
    } else if (name == "filter") {
      parsed = FilterBlock(statement);
    } else if (name == "generation") {
      statement.kind = Kind::kScope;
      parsed = Inner([&] { return Block("endgeneration"); }, false, statement.body);
    } else if (name == "break" || name == "continue") {
      statement.kind = name == "break" ? Kind::kBreak : Kind::kContinue;
      if (!in_loop_) parsed = TemplateError(statement.line, "'" + name + "' outside of a loop");
    } else {
      parsed = TemplateError(statement.line, "{% " + Printable(name) + " %}");
    }
    if (parsed.has_error()) return std::move(parsed).error();
    return statement;
  }

  // What `parse` gives, of a scope of its own: no macro may be in it, and whether `loops` may be
  // left from it is told.
  template <class Parse>
  Result<void> Inner(Parse parse, bool in_loop, Body& out) {
    const bool was_in_loop = std::exchange(in_loop_, in_loop);
    ++scopes_;
    names_.Enter();
    SIGNUM_ASSIGN(out, parse());
    names_.Leave();
    --scopes_;
    in_loop_ = was_in_loop;
    return {};
  }

  Result<void> If(Statement& out) {
    out.kind = Kind::kIf;
    std::string end = "elif";
    while (end == "elif") {
      Branch& branch = out.branches.emplace_back();
      SIGNUM_ASSIGN(branch.condition, expressions_.ExpressionOrTuple(false));
      names_.Branch(1);
      SIGNUM_ASSIGN(branch.body, Block({"elif", "else", "endif"}, end));
      names_.Branch(-1);
    }
    if (end == "endif") return {};
    names_.Branch(1);
    SIGNUM_ASSIGN(out.otherwise, Block("endif"));
    names_.Branch(-1);
    return {};
  }

  Result<void> For(Statement& out) {
    out.kind = Kind::kFor;
    SIGNUM_ASSIGN(out.target, Targets(false));
    if (!tokens_.TakeName("in")) return tokens_.Unexpected();
    SIGNUM_ASSIGN(out.expr, expressions_.ExpressionOrTuple(false));
    if (tokens_.TakeName("if")) {
      SIGNUM_ASSIGN(out.condition, expressions_.Expression());
    }
    if (tokens_.SeesName("recursive")) return tokens_.Failed("a recursive loop");
    std::string end;
    const auto rounds = [&]() -> Result<Body> {
      SIGNUM_TRY(Names(out.target));
      return Block({"else", "endfor"}, end);
    };
    SIGNUM_TRY(Inner(rounds, true, out.body));
    if (end == "endfor") return {};
    return Inner([&] { return Block("endfor"); }, in_loop_, out.otherwise);
  }

  Result<void> Set(Statement& out) {
    SIGNUM_ASSIGN(out.target, Targets(true));
    out.kind = Kind::kSet;
    if (tokens_.TakeOperator("=")) {
      SIGNUM_ASSIGN(out.expr, expressions_.ExpressionOrTuple());
      return Names(out.target);
    }
    out.kind = Kind::kSetBlock;
    if (tokens_.SeesOperator("|")) {
      SIGNUM_ASSIGN(out.expr, expressions_.Filters(BlockText()));
    }
    SIGNUM_TRY(Names(out.target));
    return Inner([&] { return Block("endset"); }, in_loop_, out.body);
  }

  // Notes what is set.
  Result<void> Names(const Target& target) {
    for (const Target& part : target.parts) SIGNUM_TRY(Names(part));
    if (!target.parts.empty() || !target.attribute.empty() || names_.Set(target.name)) return {};
    return tokens_.Failed("'" + target.name + "' is read in a loop or macro before it is set");
  }

  Result<void> FilterBlock(Statement& out) {
    out.kind = Kind::kFilter;
    SIGNUM_ASSIGN(out.expr, expressions_.Filters(BlockText(), true));
    return Inner([&] { return Block("endfilter"); }, in_loop_, out.body);
  }

  // The text of a block, for its filters.
  ExprPtr BlockText() const {
    auto node = std::make_unique<Expr>();
    node->kind = Expr::Kind::kName;
    node->line = tokens_.Now().line;
    return node;
  }

  Result<void> Macro(Statement& out) {
    out.kind = Kind::kMacro;
    if (scopes_ > 0) return TemplateError(out.line, "a macro within a loop, a macro or a block");
    SIGNUM_ASSIGN(out.target.name, tokens_.ExpectName());
    SIGNUM_TRY(Names(out.target));
    SIGNUM_TRY(tokens_.ExpectOperator("("));
    while (!tokens_.SeesOperator(")")) {
      if (out.parameters.size() == kMaxParameters) return tokens_.Failed("so many parameters");
      Parameter& parameter = out.parameters.emplace_back();
      SIGNUM_ASSIGN(parameter.name, tokens_.ExpectName());
      if (tokens_.TakeOperator("=")) {
        SIGNUM_ASSIGN(parameter.otherwise, expressions_.Expression());
      } else if (out.parameters.size() > 1 && out.parameters.end()[-2].otherwise != nullptr) {
        return tokens_.Failed("a parameter without a default after one that has it");
      }
      if (!tokens_.TakeOperator(",")) break;
    }
    SIGNUM_TRY(tokens_.ExpectOperator(")"));
    const auto body = [&]() -> Result<Body> {
      for (const Parameter& parameter : out.parameters) names_.Set(parameter.name);
      return Block("endmacro");
    };
    return Inner(body, false, out.body);
  }

  // What is assigned to: one target, or several with commas between them.
  Result<Target> Targets(bool attributes) {
    Target out;
    while (true) {
      SIGNUM_ASSIGN(Target target, OneTarget(attributes));
      if (!tokens_.SeesOperator(",") && out.parts.empty()) return target;
      out.parts.push_back(std::move(target));
      if (!tokens_.TakeOperator(",")) return out;
      if (tokens_.SeesName("in") || tokens_.SeesOperator("=") || tokens_.SeesOperator(")")) {
        return out;
      }
    }
  }

  Result<Target> OneTarget(bool attributes) {
    if (nesting_ > kMaxNesting) return tokens_.Failed("targets too deep in one another");
    if (tokens_.TakeOperator("(")) {
      ++nesting_;
      SIGNUM_ASSIGN(Target inner, Targets(attributes));
      --nesting_;
      SIGNUM_TRY(tokens_.ExpectOperator(")"));
      return inner;
    }
    Target target;
    SIGNUM_ASSIGN(target.name, tokens_.ExpectName());
    static constexpr std::string_view kReserved[] = {"true", "True", "false", "False",
                                                     "none", "None", "loop"};
    if (std::ranges::find(kReserved, target.name) != std::end(kReserved)) {
      return tokens_.Failed("an assignment to '" + target.name + "'");
    }
    if (attributes && tokens_.TakeOperator(".")) {
      SIGNUM_ASSIGN(target.attribute, tokens_.ExpectName());
    }
    return target;
  }

  TokenStream tokens_;
  NameUse names_;
  ExpressionParser expressions_;
  int nesting_ = 0;
  int scopes_ = 0;  // that are not the template's own
  bool in_loop_ = false;
};

}  // namespace

Result<Body> Parse(std::string_view source) {
  if (source.size() > kMaxTemplate) return TemplateError(1, "a template of more than a megabyte");
  SIGNUM_ASSIGN(auto tokens, Tokenize(source));
  return Parser(std::move(tokens)).Run();
}

}  // namespace signum::client::jinja
