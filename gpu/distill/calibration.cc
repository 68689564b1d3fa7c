#include "gpu/distill/calibration.h"

#include <charconv>

#include "storage/base/name.h"

namespace signum {
namespace {

constexpr std::string_view kBlanks = " \t,\r";

Error BadTokens(size_t line, const std::string& what) {
  return Fail(Errc::kUnusable, "bad_tokens", "line " + std::to_string(line) + ": " + what);
}

// The ids of one line, appended; how many.
Result<int64_t> ParseRow(std::string_view line, size_t number, std::vector<int32_t>& ids) {
  int64_t count = 0;
  for (;;) {
    const size_t begin = line.find_first_not_of(kBlanks);
    if (begin == std::string_view::npos) return count;
    line.remove_prefix(begin);
    const std::string_view word = line.substr(0, line.find_first_of(kBlanks));
    int32_t id = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (error != std::errc() || end != word.data() + word.size() || id < 0) {
      return BadTokens(number, "'" + Printable(word.substr(0, 40)) + "' is not a token id");
    }
    ids.push_back(id);
    ++count;
    line.remove_prefix(word.size());
  }
}

}  // namespace

Result<TokenRows> ParseTokenRows(std::string_view text) {
  TokenRows rows;
  size_t number = 0;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    SIGNUM_ASSIGN(const int64_t count, ParseRow(line, ++number, rows.ids));
    if (count == 0) continue;
    if (rows.tokens == 0) rows.tokens = count;
    if (count == rows.tokens && count > 1) continue;
    return BadTokens(number, std::to_string(count) + " tokens, where " +
                                 (count > 1 ? std::to_string(rows.tokens) + " are in the first row"
                                            : std::string("a row needs two or more")));
  }
  if (rows.ids.empty()) {
    return Fail(Errc::kUnusable, "no_tokens", "there are no token ids in the file");
  }
  return rows;
}

Result<TokenRows> TokenizeText(const Tokenizer& tokenizer, std::string_view text, int64_t tokens,
                               int64_t vocabulary) {
  if (tokenizer.size() > vocabulary) {
    return Fail(Errc::kUnusable, "tokenizer_mismatch",
                "the tokenizer has " + std::to_string(tokenizer.size()) +
                    " pieces, the model's vocabulary " + std::to_string(vocabulary));
  }
  TokenRows rows;
  rows.tokens = tokens;
  rows.ids = tokenizer.Encode(text);
  const int64_t count = rows.count();
  if (count == 0) {
    return Fail(Errc::kUnusable, "no_tokens",
                "the text makes " + std::to_string(rows.ids.size()) + " tokens; a row needs " +
                    std::to_string(tokens));
  }
  rows.ids.resize(static_cast<size_t>(count * tokens));
  return rows;
}

Error NoTokenizer() {
  return Fail(
      Errc::kUnusable, "no_tokenizer",
      "the fine-tune has neither tokenizer.model nor tokenizer.json to read text with; give "
      "token ids, or leave the text out");
}

}  // namespace signum
