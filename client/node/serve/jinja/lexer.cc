#include "client/node/serve/jinja/lexer.h"

#include <algorithm>

#include "client/node/serve/jinja/characters.h"
#include "client/node/serve/jinja/string_literal.h"
#include "storage/base/name.h"

namespace signum::client::jinja {
namespace {

constexpr std::string_view kOperators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                           "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                           ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsNameStart(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool IsNameCharacter(char c) { return IsNameStart(c) || IsDigit(c); }

// With one kind of newline, and without the one that ends the last line.
std::string Normalized(std::string_view source) {
  std::string out;
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r' && i + 1 < source.size() && source[i + 1] == '\n') continue;
    out += source[i] == '\r' ? '\n' : source[i];
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string source) : source_(std::move(source)) {}

  Result<std::vector<Token>> Run() {
    while (at_ < source_.size()) SIGNUM_TRY(Step());
    Add(Token::Kind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  std::string_view Rest() const { return std::string_view(source_).substr(at_); }
  bool Sees(std::string_view what) const { return Rest().starts_with(what); }
  void Add(Token::Kind kind, std::string text) {
    tokens_.push_back({kind, line_, std::move(text)});
  }
  void Skip(size_t n) {
    line_ += static_cast<int>(std::count(&source_[at_], &source_[at_] + n, '\n'));
    at_ += n;
  }
  void SkipSpace() {
    for (Character c = FirstCharacter(Rest()); c.size > 0 && IsSpace(c.code);
         c = FirstCharacter(Rest())) {
      Skip(c.size);
    }
  }

  // Text up to the next tag, and the tag.
  Result<void> Step() {
    size_t open = at_;
    do {
      open = source_.find('{', open);
      if (open == std::string::npos || open + 1 >= source_.size()) {
        AddData(source_.size(), '+', false);
        return {};
      }
    } while (std::string_view("%{#").find(source_[open + 1]) == std::string_view::npos && ++open);
    const char kind = source_[open + 1];
    const char sign = SignAt(open + 2);
    AddData(open, sign, kind != '{');
    Skip(sign == 0 ? 2 : 3);
    if (kind == '#') return Comment();
    if (kind == '%' && IsRaw()) return Raw();
    const bool block = kind == '%';
    Add(block ? Token::Kind::kBlockBegin : Token::Kind::kVariableBegin, "");
    return Tag(block);
  }

  // The whitespace control of a tag's beginning.
  char SignAt(size_t at) const {
    const char c = at < source_.size() ? source_[at] : '\0';
    return c == '-' || c == '+' ? c : '\0';
  }

  // The text from here to `end`, where a tag begins with `sign`.
  void AddData(size_t end, char sign, bool may_strip) {
    std::string_view text = std::string_view(source_).substr(at_, end - at_);
    const bool line_starting = at_ == 0 || source_[at_ - 1] == '\n';
    const size_t size = text.size();
    if (sign == '-') {
      for (Character c = LastCharacter(text); c.size > 0 && IsSpace(c.code);
           c = LastCharacter(text)) {
        text.remove_suffix(c.size);
      }
    } else if (sign == 0 && may_strip) {
      text = text.substr(0, WithoutIndent(text, line_starting));
    }
    if (!text.empty()) Add(Token::Kind::kData, std::string(text));
    Skip(size);
  }

  // lstrip_blocks: how much is left where a tag that stands alone on its line gives up its indent.
  static size_t WithoutIndent(std::string_view text, bool line_starting) {
    const size_t newline = text.rfind('\n');
    if (newline == text.npos && !line_starting) return text.size();
    const size_t line = newline == text.npos ? 0 : newline + 1;
    for (size_t at = line; at < text.size();) {
      const Character c = FirstCharacter(text.substr(at));
      if (!IsSpace(c.code)) return text.size();
      at += c.size;
    }
    return line;
  }

  // After the "%}" or "#}" that a tag ends with; `sign` stands before it.
  void EndTag(char sign) {
    if (sign == '-') return SkipSpace();
    if (sign == 0 && Sees("\n")) Skip(1);
  }

  Result<void> Comment() {
    const int line = line_;
    const size_t end = source_.find("#}", at_);
    if (end == std::string::npos) return TemplateError(line, "a comment without an end");
    const char sign = end > at_ ? SignAt(end - 1) : '\0';
    Skip(end + 2 - at_);
    EndTag(sign);
    return {};
  }

  // Whether the tag here is {% raw %}; goes behind it.
  bool IsRaw() {
    const size_t at = at_;
    const int line = line_;
    SkipSpace();
    if (Sees("raw")) {
      Skip(3);
      SkipSpace();
      if (Sees("%}")) return Skip(2), true;
      if (Sees("-%}")) return Skip(3), SkipSpace(), true;
    }
    at_ = at;
    line_ = line;
    return false;
  }

  Result<void> Raw() {
    const int line = line_;
    for (size_t open = source_.find("{%", at_); open != std::string::npos;
         open = source_.find("{%", open + 1)) {
      const size_t begin = at_;
      at_ = open + 2;
      char sign = 0;
      const bool ends = TakeEndRaw(sign);
      const size_t end = at_;
      at_ = begin;
      line_ = line;
      if (!ends) continue;
      AddData(open, SignAt(open + 2), true);
      Skip(end - at_);
      EndTag(sign);
      return {};
    }
    return TemplateError(line, "a raw block without an end");
  }

  // Goes behind "{% endraw %}", from the sign on; `sign` gets that of its end.
  bool TakeEndRaw(char& sign) {
    if (SignAt(at_) != 0) ++at_;
    SkipSpace();
    if (!Sees("endraw")) return false;
    Skip(6);
    SkipSpace();
    sign = SignAt(at_);
    if (sign != 0) ++at_;
    if (!Sees("%}")) return false;
    at_ += 2;
    return true;
  }

  // The tokens of a tag, up to its end.
  Result<void> Tag(bool block) {
    const std::string_view end = block ? "%}" : "}}";
    std::string open;  // the brackets that are
    for (SkipSpace(); at_ < source_.size(); SkipSpace()) {
      const char sign = block || source_[at_] == '-' ? SignAt(at_) : '\0';
      if (open.empty() && Rest().substr(sign == 0 ? 0 : 1).starts_with(end)) {
        Add(block ? Token::Kind::kBlockEnd : Token::Kind::kVariableEnd, "");
        Skip(sign == 0 ? 2 : 3);
        if (block || sign == '-') EndTag(sign);
        return {};
      }
      SIGNUM_TRY(Next(open));
    }
    return TemplateError(line_, "a tag without an end");
  }

  Result<void> Next(std::string& open) {
    const char c = source_[at_];
    if (IsDigit(c)) return Number();
    if (IsNameStart(c)) {
      const size_t begin = at_;
      while (at_ < source_.size() && IsNameCharacter(source_[at_])) ++at_;
      Add(Token::Kind::kName, source_.substr(begin, at_ - begin));
      return {};
    }
    if (c == '\'' || c == '"') return String();
    for (const std::string_view op : kOperators) {
      if (!Sees(op)) continue;
      SIGNUM_TRY(Balance(op[0], open));
      Add(Token::Kind::kOperator, std::string(op));
      Skip(op.size());
      return {};
    }
    return TemplateError(line_, "the character '" + Printable(Rest().substr(0, 1)) + "'");
  }

  Result<void> Balance(char bracket, std::string& open) const {
    const size_t opens = std::string_view("([{").find(bracket);
    if (opens != std::string_view::npos) open += ")]}"[opens];
    if (std::string_view(")]}").find(bracket) == std::string_view::npos) return {};
    if (open.empty() || open.back() != bracket) {
      return TemplateError(line_, std::string("an unexpected '") + bracket + "'");
    }
    open.pop_back();
    return {};
  }

  void Digits() {
    while (at_ < source_.size() &&
           (IsDigit(source_[at_]) ||
            (source_[at_] == '_' && at_ + 1 < source_.size() && IsDigit(source_[at_ + 1])))) {
      ++at_;
    }
  }

  Result<void> Number() {
    const size_t begin = at_;
    Digits();
    const size_t whole = at_;
    // After a dot ("x.0.5") a number is an index.
    const bool index = begin > 0 && source_[begin - 1] == '.';
    if (!index && Sees(".") && at_ + 1 < source_.size() && IsDigit(source_[at_ + 1])) {
      ++at_;
      Digits();
    }
    if (!index && (Sees("e") || Sees("E"))) {
      const size_t sign = at_ + 1 < source_.size() && SignAt(at_ + 1) != 0 ? 1 : 0;
      if (at_ + 1 + sign < source_.size() && IsDigit(source_[at_ + 1 + sign])) {
        at_ += 1 + sign;
        Digits();
      }
    }
    std::string text = source_.substr(begin, at_ - begin);
    std::erase(text, '_');
    const bool zeros = text.find_first_not_of('0') == text.npos;
    const bool name_follows = at_ < source_.size() && IsNameCharacter(source_[at_]);
    if (name_follows || (at_ == whole && text[0] == '0' && !zeros)) {
      return TemplateError(line_, "the number '" + Printable(text) + "'");
    }
    Add(at_ == whole ? Token::Kind::kInteger : Token::Kind::kFloat, std::move(text));
    return {};
  }

  Result<void> String() {
    const char quote = source_[at_];
    size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) return TemplateError(line_, "a string without an end");
    const auto text = UnescapeString(std::string_view(source_).substr(at_ + 1, end - at_ - 1));
    if (!text) return TemplateError(line_, "a string with an escape that is none");
    Add(Token::Kind::kString, *text);
    Skip(end + 1 - at_);
    return {};
  }

  const std::string source_;
  size_t at_ = 0;
  int line_ = 1;
  std::vector<Token> tokens_;
};

}  // namespace

Error TemplateError(int line, const std::string& what) {
  return Fail(Errc::kUnusable, "unsupported_template",
              "line " + std::to_string(line) + ": " + what);
}

Result<std::vector<Token>> Tokenize(std::string_view source) {
  if (!IsUtf8(source)) return TemplateError(1, "text that is not UTF-8");
  return Lexer(Normalized(source)).Run();
}

}  // namespace signum::client::jinja
