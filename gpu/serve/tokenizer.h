#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "storage/base/result.h"

namespace signum {

// Text to token ids and back, with a checkpoint's SentencePiece model (tokenizer.model).
// Thread-safe.
class Tokenizer {
 public:
  // Errc::kUnusable bad_tokenizer.
  static Result<std::shared_ptr<const Tokenizer>> Create(std::string_view model);
  virtual ~Tokenizer() = default;

  // The ids of `text`, without a beginning-of-sequence token.
  virtual std::vector<int32_t> Encode(std::string_view text) const = 0;
  // The piece of a token as bytes of text: what it adds where it is not the first of a text (a
  // word's boundary is a blank). A byte-fallback piece is its one byte; control pieces, and ids
  // without a piece, are empty. So the pieces of a text, one after another, are the text (after the
  // blank that SentencePiece puts before the first word), and characters that several pieces make
  // up are whole when the last of them has come.
  virtual std::string Piece(int32_t token) const = 0;
  // A control token by its piece ("<|im_end|>"), user-defined ones too; -1 where there is none.
  virtual int32_t Find(std::string_view piece) const = 0;

  virtual int32_t bos() const = 0;  // -1 where it has none
  virtual int32_t eos() const = 0;
  virtual int64_t size() const = 0;
};

}  // namespace signum
