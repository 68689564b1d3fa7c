#pragma once

#include <string_view>

#include "gpu/model/forward.h"
#include "gpu/tokenizer/tokenizer.h"

// Rows of tokens from what users have: files of ids, or text and the model's own tokenizer.

namespace signum {

// One row of token ids a line, separated by blanks or commas; every row of the same length, two or
// more. Errc::kUnusable bad_tokens naming line and word, no_tokens.
Result<TokenRows> ParseTokenRows(std::string_view text);

// Text cut into rows of `tokens` ids; what does not fill a row is left out. Errc::kUnusable:
// tokenizer_mismatch where the tokenizer has more pieces than `vocabulary`, no_tokens where the
// text makes no row.
Result<TokenRows> TokenizeText(const Tokenizer& tokenizer, std::string_view text, int64_t tokens,
                               int64_t vocabulary);

// Errc::kUnusable no_tokenizer: a checkpoint without any of Tokenizer::kFiles, which text cannot be
// read for.
Error NoTokenizer();

}  // namespace signum
