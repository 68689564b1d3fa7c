#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "gpu/model/forward.h"

// Rows of tokens from what users have: files of ids, or text and the model's own tokenizer.

namespace signum {

// One row of token ids a line, separated by blanks or commas; every row of the same length, two or
// more. Errc::kUnusable bad_tokens naming line and word, no_tokens.
Result<TokenRows> ParseTokenRows(std::string_view text);

// Text cut into rows of `tokens` ids by a SentencePiece model (the bytes of a tokenizer.model);
// what does not fill a row is left out. Errc::kUnusable: bad_tokenizer, tokenizer_mismatch where it
// has more pieces than `vocabulary`, no_tokens where the text makes no row.
Result<TokenRows> TokenizeText(std::string_view tokenizer_model, std::string_view text,
                               int64_t tokens, int64_t vocabulary);

// Errc::kUnusable no_tokenizer: a checkpoint without tokenizer.model, which text cannot be read
// for.
Error NoTokenizer();

}  // namespace signum
