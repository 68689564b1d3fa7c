#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "storage/base/result.h"

namespace signum::client::jinja {

struct Token {
  enum class Kind : uint8_t {
    kData,  // text between tags, whitespace control applied
    kVariableBegin,
    kVariableEnd,
    kBlockBegin,
    kBlockEnd,
    kName,
    kString,  // unescaped
    kInteger,
    kFloat,
    kOperator,
    kEnd,
  };
  Kind kind = Kind::kEnd;
  int line = 1;
  std::string text;

  bool Is(Kind of, std::string_view what) const { return kind == of && text == what; }
};

// The tokens of a template, as Jinja divides it with trim_blocks and lstrip_blocks. Comments and
// raw blocks are resolved; the last token is kEnd. Errc::kUnusable unsupported_template.
Result<std::vector<Token>> Tokenize(std::string_view source);

// "unsupported_template", naming the line.
Error TemplateError(int line, const std::string& what);

}  // namespace signum::client::jinja
