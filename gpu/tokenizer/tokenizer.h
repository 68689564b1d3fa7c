#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "storage/base/result.h"

namespace signum {

// What text that reads like a control token ("<|im_end|>") is taken for.
enum class Controls {
  kText,    // text: what somebody says must not end his turn
  kTokens,  // that token: a prompt written out by hand
};

// A control token written out in a text: its bytes, and its id.
struct ControlToken {
  size_t begin = 0, end = 0;
  int32_t id = -1;
};

// Text to token ids and back, as a checkpoint's own files say. Thread-safe.
class Tokenizer {
 public:
  // The files that a tokenizer may be in, the preferred one first.
  static constexpr std::array<std::string_view, 2> kFiles = {"tokenizer.model", "tokenizer.json"};

  // Of the bytes of one of kFiles. The same bytes are read once, however many models have them: who
  // opens them while another holds the tokenizer shares it. `bos`: the piece that texts begin with
  // where a tokenizer.json does not tell; empty for none. `added`: tokens beside a tokenizer.model,
  // as a list in JSON like "added_tokens" of a tokenizer.json. Errc::kUnusable bad_tokenizer,
  // unsupported_tokenizer, naming the file and the field.
  static Result<std::shared_ptr<const Tokenizer>> Open(std::string_view file,
                                                       std::string_view bytes,
                                                       std::string_view bos = "",
                                                       std::string_view added = "");
  virtual ~Tokenizer() = default;

  // The ids of `text`, without a beginning-of-sequence token. (SentencePiece never takes text for
  // control tokens.)
  virtual std::vector<int32_t> Encode(std::string_view text,
                                      Controls controls = Controls::kText) const = 0;
  // The same of text that goes on where another has ended: without the blank that SentencePiece
  // puts before a text's first word.
  virtual std::vector<int32_t> EncodeRest(std::string_view text) const = 0;
  // The control tokens that are written out between `begin` and `end`, in order: SentencePiece's
  // control pieces and what was added to them, or the added tokens of a tokenizer.json, which
  // Encode takes for tokens under kTokens. Some take the blanks beside them, outside too. What lies
  // between them can be encoded by itself.
  virtual std::vector<ControlToken> FindControls(std::string_view text, size_t begin,
                                                 size_t end) const = 0;
  std::vector<ControlToken> FindControls(std::string_view text) const {
    return FindControls(text, 0, text.size());
  }
  // The piece of a token as bytes of text: what it adds where it is not the first of a text (a
  // word's boundary is a blank). A byte-fallback piece is its one byte; control pieces, and ids
  // without a piece, are empty. So the pieces of a text, one after another, are the text (after the
  // blank that SentencePiece puts before the first word), and characters that several pieces make
  // up are whole when the last of them has come.
  virtual std::string Piece(int32_t token) const = 0;
  // A control token by its piece ("<|im_end|>"), user-defined ones too; -1 where there is none.
  virtual int32_t Find(std::string_view piece) const = 0;

  virtual int32_t bos() const = 0;  // -1 where texts begin with none
  virtual int32_t eos() const = 0;  // -1 where the file does not tell
  virtual int64_t size() const = 0;
  // Whether a text's first word has a blank of the tokenizer's own before it.
  virtual bool blank_first() const = 0;
};

// The parts of Open.
Result<std::shared_ptr<const Tokenizer>> OpenSentencePiece(std::string_view model,
                                                           std::string_view added);
// Hugging Face's tokenizer.json, of byte-level BPE (Llama 3, Qwen, GPT-2): BPE without byte
// fallback, NFC or its kin, pre-tokenizers Split, Digits and ByteLevel, the decoder ByteLevel; or
// of SentencePiece's BPE (Llama 2, Mistral, Gemma): with byte fallback, blanks by Prepend and
// Replace or by Metaspace.
Result<std::shared_ptr<const Tokenizer>> OpenTokenizerJson(std::string_view json,
                                                           std::string_view bos);

}  // namespace signum
