#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "storage/base/result.h"

namespace signum {

// A regular expression as tokenizer.json has it (Oniguruma's syntax), run by PCRE2: Unicode
// properties, \s is Unicode's White_Space, ^ and $ are ends of lines. Thread-safe. A search that
// takes more than PCRE2's limits of steps is given up: the rest of that text does not match.
class Pattern {
 public:
  // Errc::kUnusable unsupported_tokenizer, with what is not understood.
  static Result<Pattern> Compile(std::string_view regex);
  // A regex for just this text.
  static std::string Quoted(std::string_view text);
  // Any of these texts, the longest of those that begin at one place.
  static Result<Pattern> AnyOf(std::vector<std::string> texts);

  // Calls `part` for all of `text` (which is UTF-8) in order: what matches, and what lies between.
  void Split(std::string_view text,
             const std::function<void(std::string_view part, bool matched)>& part) const;

 private:
  struct Code;
  std::shared_ptr<const Code> code_;
};

}  // namespace signum
